"""What the answers of HTTP servers mean, whichever client they came through."""

from __future__ import annotations

import base64
import binascii
import email.utils
import math
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fnet_cli.errors import AccessError, FnetError, NetworkError, PresetNotFoundError
from fnet_cli.presets.sources.base import ByteStream, RangeError, RemoteFile, TransientError

if TYPE_CHECKING:
    import requests

_TRANSIENT = (408, 425, 429, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_CHUNK_BYTES = 2 * 1024 * 1024
_MAX_ANSWER_BYTES = 16 * 1024**2
_MAX_ANSWER_SECONDS = 120.0
_TYPE_KEPT = "X-Kept-Content-Type"


def check_status(status: int, headers: Mapping[str, str], what: str, hint: str = "") -> None:
    """Raise what an HTTP status means; return for 200 and 206.

    `what` names the thing that was asked for, and `hint` tells how to log in. 416 is a
    RangeError: the bytes already here are not a beginning of the file.
    """
    if status in (200, 206):
        return
    if status == 416:
        raise RangeError(f"{what}: the server has no bytes from where it was asked to go on")
    if status in _TRANSIENT:
        raise TransientError(f"{what}: the server answers {status}", retry_after(headers))
    raise _lasting(status, what, hint)


def _lasting(status: int, what: str, hint: str) -> FnetError:
    if status in (401, 403):
        return AccessError(f"{what}: access is refused ({status})", hint=hint)
    if status in (404, 410):
        return PresetNotFoundError(f"{what}: there is no such thing ({status})", hint=hint)
    return NetworkError(f"{what}: the server answers {status}")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a Retry-After header asks for, given as seconds or as a date."""
    value = headers.get("Retry-After", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def body_position(status: int, headers: Mapping[str, str], offset: int) -> tuple[int, int | None]:
    """Return where a body starts in its file and the file's size, where the server states it.

    Raises RangeError for a part that is not the one asked for.
    """
    encoded = headers.get("Content-Encoding", "identity") != "identity"
    if status != 206:
        # The length of an encoded body is that of the compressed bytes.
        return 0, None if encoded else _count(headers.get("Content-Length"))
    found = _RANGE.fullmatch(headers.get("Content-Range", ""))
    if encoded or not found or int(found[1]) != offset:
        raise RangeError("the server sends another part of the file than was asked for")
    return offset, _count(found[3])


def check_listed_file(file: RemoteFile) -> RemoteFile:
    """Return a file of a listing, which clients take from any JSON; ValueError for odd types."""
    texts = (file.name, file.sha256 or "", file.git_sha1 or "")
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"a listed file with a {texts!r:.120}")
    if file.size is not None and (type(file.size) is not int or file.size < 0):
        raise ValueError(f"a listed file of size {file.size!r:.40}")
    return file


def stated(file: RemoteFile, headers: Mapping[str, str], size: int | None) -> RemoteFile:
    """Return `file` with what a response's headers add: size, md5, a tag."""
    return RemoteFile(
        name=file.name,
        size=file.size if file.size is not None else size,
        sha256=file.sha256,
        md5=file.md5 or _stated_md5(headers),
        git_sha1=file.git_sha1,
        tag=file.tag or headers.get("ETag", ""),
    )


def _stated_md5(headers: Mapping[str, str]) -> str | None:
    """Return the md5 in `x-goog-hash: crc32c=...,md5=...`, in hex."""
    for part in headers.get("x-goog-hash", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "md5":
            try:
                digest = base64.b64decode(value, validate=True)
            except binascii.Error:
                return None
            return digest.hex() if len(digest) == 16 else None
    return None


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


def requests_stream(response: requests.Response, file: RemoteFile, offset: int) -> ByteStream:
    """Return the body of a successful `requests` response that was opened as a stream."""
    start, size = body_position(response.status_code, response.headers, offset)
    return ByteStream(
        file=stated(file, response.headers, size),
        offset=start,
        content_type=response.headers.get(_TYPE_KEPT, response.headers.get("Content-Type", "")),
        read=lambda: _raw_chunks(response),
        is_framed=size is not None or "chunked" in response.headers.get("Transfer-Encoding", ""),
    )


def prepare_session(
    session: requests.Session, timeout: float, *, streaming: bool, offset: int = 0
) -> None:
    """Bound what every request of a client's session may cost: time always, memory too.

    Once it has asked over https, it asks nobody over plain http. With `streaming` the body is
    the caller's to read, from `offset` on; otherwise it is read here, up to a limit.
    """
    from requests.adapters import HTTPAdapter

    asked: list[str] = []

    class Adapter(HTTPAdapter):
        def send(self, request: Any, *positional: Any, **options: Any) -> requests.Response:
            asked.append(request.url)
            check_hops(asked)
            if offset:  # kept by a redirect, which drops credentials where it leaves the host
                request.headers["Range"] = f"bytes={offset}-"
            if streaming:
                request.headers["Accept-Encoding"] = "identity"
            response = super().send(request, *positional, **{**options, "timeout": timeout})
            if not streaming:
                _read_whole(response)
            elif "Content-Type" in response.headers and response.status_code < 300:
                # The client would read a body that calls itself JSON whole, however long.
                response.headers[_TYPE_KEPT] = response.headers.pop("Content-Type")
            return response

    for scheme in ("https://", "http://"):
        session.mount(scheme, Adapter())


def check_hops(urls: Iterable[str]) -> None:
    """Raise NetworkError where a way of redirects leaves https for plain http.

    What comes over plain http can be changed, and so can where the next hop leads. Only hosts
    are named, for an address may be signed.
    """
    secure = ""
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme == "https":
            secure = parts.hostname or ""
        elif secure:
            raise NetworkError(
                f"{secure} redirects to plain http at {parts.hostname}, "
                "which can be changed on its way"
            )


def _read_whole(response: requests.Response) -> None:
    """Read a body into the response, as the client will want it."""
    try:
        response._content = whole_answer(_raw_chunks(response))
    except TransientError:
        response.close()
        raise


def whole_answer(chunks: Iterator[bytes]) -> bytes:
    """Return the body of an API's answer; TransientError for one without end, in bytes or time."""
    body = bytearray()
    deadline = time.monotonic() + _MAX_ANSWER_SECONDS
    for chunk in chunks:
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES or time.monotonic() > deadline:
            raise TransientError(
                f"an answer of more than {_MAX_ANSWER_BYTES:,} bytes or {_MAX_ANSWER_SECONDS:.0f} s"
            )
    return bytes(body)


def _raw_chunks(response: requests.Response) -> Iterator[bytes]:
    """Yield a body's bytes as the socket has them: no chunk waits to be full."""
    from urllib3.exceptions import HTTPError, IncompleteRead, ProtocolError

    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    try:
        while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=encoded):
            yield chunk
    except IncompleteRead as error:
        raise TransientError("the connection ended early") from error
    except ProtocolError as error:
        if error.args and isinstance(error.args[-1], IncompleteRead):
            raise TransientError("the connection ended early") from error
        raise TransientError(f"the connection failed: {reason(error)}") from error
    except (HTTPError, OSError) as error:
        raise TransientError(f"the connection failed: {reason(error)}") from error


def not_understood(hub: str, error: Exception) -> TransientError:
    """Return the error for an answer that a client could make nothing of.

    The client's own words stay out: they may quote a request's headers.
    """
    return TransientError(
        f"{hub}'s answer is not understood ({type(error).__name__}): "
        "is there a proxy or a login page on the way?"
    )


def unsendable(hub: str) -> NetworkError:
    """Return the error for credentials that no request can carry."""
    return NetworkError(
        f"the credentials for {hub} hold characters that cannot be sent",
        hint="set the token again; it may have a line break or a foreign letter in it",
    )


def reason(error: BaseException) -> str:
    """Return the innermost cause of a client's error, in its own words."""
    inner: Any = error
    while True:
        # Not the context: at the end of the chain that is what a caller of ours handles.
        known = (getattr(inner, "reason", None), inner.__cause__, *inner.args)
        cause = next((one for one in known if isinstance(one, BaseException)), None)
        if cause is None:
            break
        inner = cause
    text = getattr(inner, "strerror", None) or str(inner).partition("\n")[0]
    return f"{type(inner).__name__}: {text:.200}" if text else type(inner).__name__
