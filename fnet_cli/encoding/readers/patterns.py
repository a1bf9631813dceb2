"""Patterns of paths and URIs, part by part, and names that inputs leave out."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from fnet_cli.encoding.output.journal import SUFFIX as JOB_SUFFIX

MAGIC = re.compile(r"[*?\[]")
ANY_DEPTH = "**"


def matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path match those of a pattern; `**` in the end matches files too."""
    if not pattern:
        return not path
    if pattern[0] == ANY_DEPTH:
        return matches(path, pattern[1:]) or (bool(path) and matches(path[1:], pattern))
    return bool(path) and fnmatchcase(path[0], pattern[0]) and matches(path[1:], pattern[1:])


def is_hidden(name: str) -> bool:
    """Whether directories and patterns leave out what has this name."""
    return name.startswith((".", "_")) or name.endswith(JOB_SUFFIX)


def fixed_parts(pattern: str) -> int:
    """Return how many parts of a pattern are before its first wildcard."""
    parts = Path(pattern).parts
    return next(index for index, part in enumerate(parts) if MAGIC.search(part))
