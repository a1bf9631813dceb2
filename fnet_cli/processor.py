"""What the system says of its processor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


@dataclass(frozen=True)
class Processor:
    """The model's name, and what it can do by Linux' names; None where the system does not say."""

    name: str | None
    features: frozenset[str] | None


def read_processor(path: Path = CPUINFO) -> Processor:
    """Return the first processor of `path`, Linux' file about them."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return Processor(None, None)
    # Read backwards, so that the first processor's lines, which repeat for each, count.
    said = {
        key.strip(): value.strip()
        for key, _, value in (line.partition(":") for line in reversed(lines))
    }
    return Processor(said.get("model name"), frozenset(said.get("flags", "").split()))
