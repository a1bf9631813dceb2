"""What the system says of memory: how much there is, and how much processes take."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from fnet_cli.errors import UsageError

PROC = Path("/proc")
_UNITS = {
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
# A number of cgroup v1 that stands for none: the largest one of whole pages.
_NO_LIMIT = 1 << 60


def parse_size(text: str, whole: int) -> int:
    """Return the bytes that `4GB`, `1500MB` or `2GiB` are, or that `80%` is of `whole`.

    Raises UsageError for anything else, and for none at all.
    """
    found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,3})?) ?([kmgt]i?b|%)", text.strip().lower())
    number, unit = (float(found[1]), found[2]) if found else (0.0, "")
    size = int(number * whole / 100) if unit == "%" else int(number * _UNITS.get(unit, 0))
    if not size or (unit == "%" and number > 100):
        raise UsageError(
            f"{text!r} is no amount of memory",
            hint="give it as 4GB, 1500MB or 2GiB, or as a share of what the machine has: 80%",
        )
    return size


def total_bytes(root: Path = Path("/")) -> int:
    """Return what memory this process may have: the machine's, or less where a cgroup says so."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine, *_cgroup_limits(root)])


def _cgroup_limits(root: Path) -> Iterator[int]:
    """Yield the limits of the groups that this process is in, and of those around them."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            top, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            top, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, which is not there; the top one is.
        inner = top / path.strip("/")
        for group in [inner, *inner.parents]:
            limit = _number_in(group / name)
            if limit is not None and limit < _NO_LIMIT:
                yield limit
            if group == top:
                break


def _number_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # not there, or `max`
        return None


def resident_bytes(process: int | str = "self") -> int | None:
    """Return what a process has in memory, libraries included; None where that is not told."""
    try:
        pages = (PROC / str(process) / "statm").read_text().split()[1]
    except (OSError, IndexError):  # it has ended, or there is no /proc
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def data_bytes() -> int:
    """Return what this process has asked for as memory of its own, used or not."""
    for line in (PROC / "self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def family(process: int) -> list[int]:
    """Return a process and all that descend from it."""
    every = [process]
    for one in every:  # which grows
        for children in (PROC / str(one)).glob("task/*/children"):
            try:
                every += map(int, children.read_text().split())
            except OSError:  # it has just ended
                continue
    return every
