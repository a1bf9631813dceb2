"""Faults of a server, as data.

Append one to a server's `faults`, also while it runs:

    hub.faults.append(cut(at=1000, match="weights", times=1))

A fault strikes the first answers that it matches and that it can change: `cut(at=1000)` leaves an
answer of 60 bytes alone and is not used up by it. When `times` is used up, the fault leaves the
list, so an empty list means that every fault struck. One fault strikes one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """One way for an answer to go wrong.

    `match` is part of the file's name or of the API method's, "" is any; `method` is an HTTP
    method, "" is any. The other fields belong to the kinds that name them below.
    """

    kind: str
    match: str = ""
    times: int | None = None
    method: str = ""
    at: int | None = None
    seconds: float = 3600
    rate: float = 0
    code: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: int = 0
    shift: int = 0
    error: bool = False
    chunked: bool = False


def cut(at: int = 0, match: str = "", times: int | None = None) -> Fault:
    """Close the connection after `at` bytes of this answer's body."""
    return Fault("cut", match, times, at=at)


def corrupt(at: int = 0, match: str = "", times: int | None = None) -> Fault:
    """Flip the byte at position `at` of the file; length and hash headers stay the true ones."""
    return Fault("corrupt", match, times, at=at)


def stall(
    at: int | None = 0, match: str = "", times: int | None = None, seconds: float = 3600
) -> Fault:
    """Send `at` bytes of the body, then nothing for `seconds`; None holds the headers back too."""
    return Fault("stall", match, times, at=at, seconds=seconds)


def slow(rate: float, match: str = "", times: int | None = None) -> Fault:
    """Send the body at `rate` bytes per second."""
    return Fault("slow", match, times, rate=rate)


def status(
    code: int,
    match: str = "",
    times: int | None = None,
    headers: Mapping[str, str] | None = None,
    method: str = "",
) -> Fault:
    """Answer with this status, these headers and a body that says "error page"."""
    return Fault("status", match, times, method, code=code, headers=headers or {})


def page(match: str = "", times: int | None = None, method: str = "") -> Fault:
    """Answer 200 with an HTML page, as a captive portal does."""
    return Fault("page", match, times, method, headers={"Content-Type": "text/html"})


def short(at: int = 0, match: str = "", times: int | None = None) -> Fault:
    """Send `at` bytes as though they were all: Content-Length agrees, hash headers do not."""
    return Fault("short", match, times, at=at)


def endless(match: str = "", times: int | None = None, chunked: bool = False) -> Fault:
    """Send the body without a Content-Length, then zeros until the client hangs up."""
    return Fault("endless", match, times, chunked=chunked)


def lie(extra: int = 1, match: str = "", times: int | None = None) -> Fault:
    """Claim `extra` bytes more than the body has, then close."""
    return Fault("lie", match, times, extra=extra)


def ignore_range(match: str = "", times: int | None = None) -> Fault:
    """Answer a request for a range with 200 and the whole file."""
    return Fault("ignore_range", match, times)


def bad_range(
    shift: int = -1, match: str = "", times: int | None = None, error: bool = False
) -> Fault:
    """Answer a request for a range with one that starts `shift` bytes further on.

    With `error`, the answer is an error page under status 206.
    """
    return Fault("bad_range", match, times, shift=shift, error=error, code=206)
