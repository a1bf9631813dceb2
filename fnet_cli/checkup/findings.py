"""What a check comes to: a verdict, what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Verdict(StrEnum):
    """How bad it is: a note changes nothing, a warning stops something, a problem stops fnet."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    PROBLEM = "problem"


_ORDER = tuple(Verdict)


@dataclass(frozen=True)
class Finding:
    """One line of the checkup.

    `found` is for people; `details` has the same as plain values, for bug reports. Neither holds
    a secret. `hint` is the next thing to do, and empty where there is nothing.
    """

    check: str
    verdict: Verdict
    found: str
    hint: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        return {**asdict(self), "verdict": self.verdict.value}


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict of all; ok where there is none."""
    verdicts = (finding.verdict for finding in findings)
    return max(verdicts, key=_ORDER.index, default=Verdict.OK)


def shown_path(path: str | Path, home: Path) -> str:
    """Return a path with `~` for the user's home, whose name is nobody's business in a report."""
    path = Path(path)
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
