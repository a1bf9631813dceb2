"""What happens while a preset is fetched, told to whoever asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """What a pull fetches is known: how many files, and the bytes of those of known size.

    Small files that were needed to learn it are counted, and have come already.
    """

    handle: str
    revision: str
    files: int
    bytes: int


@dataclass(frozen=True)
class Advanced:
    """More of a file is here: `done` bytes of `total`, which is None where it is unknown.

    `resumed` bytes of them were here before this try.
    """

    name: str
    done: int
    total: int | None
    resumed: int = 0


@dataclass(frozen=True)
class Retrying:
    """Something failed and is tried again in `seconds`."""

    problem: str
    seconds: float


@dataclass(frozen=True)
class Waiting:
    """Another process pulls the same preset: this one waits for it. `holder` says which."""

    handle: str
    holder: str


Event = Planned | Advanced | Retrying | Waiting
EventCallback = Callable[[Event], None]


def ignore(_event: Event) -> None:
    """Tell nobody."""
