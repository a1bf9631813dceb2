"""From a server's reply to the bytes it sends: ranges, and what a fault changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fakes.content import Content
from fakes.faults import Fault

PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d+)-(\d*)$")
# Only these can change an answer that has no body.
_WITHOUT_BODY = ("status", "page")


@dataclass
class Request:
    """A request as it was recorded; header names are in lower case.

    `api` is the API method and `file` the file's name, "" where there is none; `fault` is what
    struck the answer.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes = b""
    api: str = ""
    file: str = ""
    fault: Fault | None = None


@dataclass
class Reply:
    """What a server means to answer; only a `ranged` reply honours Range."""

    status: int = 200
    content: Content = field(default_factory=lambda: Content(b""))
    headers: dict[str, str] = field(default_factory=dict)
    ranged: bool = False


@dataclass
class Answer:
    """What goes over the wire: `content[start:end]`, under a Content-Length of `claimed`."""

    status: int
    headers: dict[str, str]
    content: Content
    start: int
    end: int
    claimed: int | None
    hang_up: bool = False
    fault: Fault | None = None

    @property
    def length(self) -> int:
        return self.end - self.start

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield positions and sizes, with a border where a stall falls."""
        size, border, position = PIECE, self.end, self.start
        if self.fault and self.fault.kind == "slow":
            size = max(1, int(self.fault.rate / 20))
        if self.fault and self.fault.kind == "stall" and self.fault.at is not None:
            border = self.start + self.fault.at
        while position < self.end:
            stop = min(self.end, position + size, border if position < border else self.end)
            yield position, stop - position
            position = stop


def answer_to(request: Request, reply: Reply) -> Answer:
    """Return the answer to a request before any fault."""
    headers, size = dict(reply.headers), reply.content.size
    answer = Answer(reply.status, headers, reply.content, 0, size, size)
    if not reply.ranged:
        return answer
    headers["Accept-Ranges"] = "bytes"
    wanted = _RANGE.match(request.headers.get("range", ""))
    condition = request.headers.get("if-range", headers.get("ETag"))
    if not wanted or condition != headers.get("ETag") or reply.status != 200:
        return answer
    start = int(wanted[1])
    if start >= size:
        headers = {"Accept-Ranges": "bytes", "Content-Range": f"bytes */{size}"}
        return Answer(416, headers, Content(b""), 0, 0, 0)
    _narrow(answer, start, min(size, int(wanted[2] or size) + 1))
    return answer


def can_change(fault: Fault, answer: Answer, request: Request) -> bool:
    """Tell whether the fault makes a difference to this answer."""
    if fault.method not in ("", request.method):
        return False
    if fault.kind in _WITHOUT_BODY or (fault.kind == "stall" and fault.at is None):
        return True
    if request.method == "HEAD" or not answer.length:
        return False
    if fault.kind in ("ignore_range", "bad_range"):
        return answer.status == 206
    if fault.kind == "corrupt":
        return answer.start <= (fault.at or 0) < answer.end
    return (fault.at or 0) < answer.length


def bend(answer: Answer, fault: Fault) -> None:
    """Change the answer as the fault says; stall, slow and corrupt act while it is sent."""
    answer.fault = fault
    if change := _CHANGES.get(fault.kind):
        change(answer, fault)


def _narrow(answer: Answer, start: int, end: int) -> None:
    answer.status, answer.start, answer.end, answer.claimed = 206, start, end, end - start
    answer.headers["Content-Range"] = f"bytes {start}-{end - 1}/{answer.content.size}"


def _cut(answer: Answer, fault: Fault) -> None:
    answer.end, answer.hang_up = answer.start + (fault.at or 0), True


def _short(answer: Answer, fault: Fault) -> None:
    answer.claimed = fault.at or 0
    answer.end = answer.start + answer.claimed


def _lie(answer: Answer, fault: Fault) -> None:
    answer.claimed, answer.hang_up = answer.length + fault.extra, True


def _endless(answer: Answer, fault: Fault) -> None:
    answer.claimed, answer.hang_up = None, True
    how = {"Transfer-Encoding": "chunked"} if fault.chunked else {"Connection": "close"}
    answer.headers.update(how)


def _error_page(answer: Answer, fault: Fault) -> None:
    body = f"<html><body>error page {fault.code}</body></html>".encode()
    answer.status, answer.content, answer.start = fault.code, Content(body), 0
    answer.end = answer.claimed = len(body)
    answer.headers = {"Content-Type": "text/html", **fault.headers}


def _ignore_range(answer: Answer, fault: Fault) -> None:
    answer.status, answer.start, answer.end = 200, 0, answer.content.size
    answer.claimed = answer.end
    del answer.headers["Content-Range"]


def _bad_range(answer: Answer, fault: Fault) -> None:
    if fault.error:
        _error_page(answer, fault)
    else:
        start = min(max(0, answer.start + fault.shift), answer.content.size - 1)
        _narrow(answer, start, max(start + 1, answer.end))


_CHANGES: dict[str, Callable[[Answer, Fault], None]] = {
    "cut": _cut,
    "short": _short,
    "lie": _lie,
    "endless": _endless,
    "status": _error_page,
    "page": _error_page,
    "ignore_range": _ignore_range,
    "bad_range": _bad_range,
}
