"""Mirrors: a preset's directory on a web server, in an object store, or on a mounted disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from urllib.parse import quote

from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE, MAX_LISTED_FILES
from fnet_cli.errors import NetworkError, PresetNotFoundError
from fnet_cli.patience import interruptible
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.layouts import LAYOUTS
from fnet_cli.presets.sources.base import ByteStream, Listing, RemoteFile, TransientError
from fnet_cli.presets.sources.http import (
    check_status,
    prepare_session,
    reason,
    requests_stream,
)
from fnet_cli.stores import first_line, open_store, opened_at, store_errors

_CHUNK_BYTES = 4 * 1024 * 1024
# What `list` asks a web server for.
_KNOWN_NAMES = dict.fromkeys(name for layout in LAYOUTS for name in layout.files.all)
_WEB_LOGIN = "check the address; credentials go into ~/.netrc"


class MirrorSource:
    """A directory at an `https://`, `s3://`, `gs://` or `file://` address.

    A mirror has no revisions. What stands for one is a digest of its files' names, sizes and
    tags, so that a changed mirror is another revision.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def list(self, handle: Handle) -> Listing:
        """Return the files of a preset that are there."""
        if _is_web(handle):
            found = (self._head(handle, name) for name in _KNOWN_NAMES)
            files = [file for file in found if file is not None]
        else:
            files = _stored_files(handle, self._settings)
        if not files:
            raise PresetNotFoundError(
                f"{handle}: holds no file of a preset",
                hint="give the address of the directory that holds config.json",
            )
        lines = sorted(f"{file.name} {file.size} {file.tag}" for file in files)
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        return Listing(digest[:16], {file.name: file for file in files})

    def find(self, handle: Handle, listing: Listing, name: str) -> RemoteFile | None:
        """Return a listed file; a web server, which lists nothing, is asked for other names."""
        if name not in listing.files and name not in _KNOWN_NAMES and _is_web(handle):
            return self._head(handle, name)
        return listing.files.get(name)

    @contextmanager
    def open(
        self, handle: Handle, listing: Listing, file: RemoteFile, offset: int
    ) -> Iterator[ByteStream]:
        """Ask for a file's bytes."""
        del listing
        if not _is_web(handle):
            with _stored(handle, self._settings, file, offset) as stored:
                yield stored
            return
        with self._get(handle, "GET", file, offset) as response:
            check_status(
                response.status_code, response.headers, f"{handle}/{file.name}", _WEB_LOGIN
            )
            yield requests_stream(response, file, offset)

    def _head(self, handle: Handle, name: str) -> RemoteFile | None:
        """Ask a web server for a file's size and tag; None where it has no such file."""
        file = RemoteFile(name)
        with self._get(handle, "HEAD", file) as response:
            status = response.status_code
            if _is_absent(status, name):
                return None
            if status in (405, 501):  # a server without HEAD: look at the head of a GET
                with self._get(handle, "GET", file) as whole:
                    status, response = whole.status_code, whole
                    if _is_absent(status, name):
                        return None
            check_status(status, response.headers, f"{handle}/{name}", _WEB_LOGIN)
            found = requests_stream(response, file, 0)
            # Some servers have a page, and status 200, for every name.
            return None if found.is_page else found.file

    @contextmanager
    def _get(self, handle: Handle, method: str, file: RemoteFile, offset: int = 0) -> Iterator[Any]:
        import requests

        # No hash of the whole would show that the bytes are of two states of the file.
        same = {"If-Range": file.tag} if offset and file.tag.startswith('"') else {}
        with requests.Session() as session:
            prepare_session(session, self._settings.timeout, streaming=True, offset=offset)
            try:
                url = f"{handle}/{quote(file.name)}"
                response = session.request(
                    method, url, headers=same, stream=True, allow_redirects=True
                )
            except requests.TooManyRedirects as error:
                raise NetworkError(f"{handle}: redirects without end") from error
            except requests.RequestException as error:
                raise TransientError(f"cannot reach {handle}: {reason(error)}") from error
            with response:
                yield response


def _is_absent(status: int, name: str) -> bool:
    """Whether a web server says that it has no such file.

    S3 answers 403 for what is not there to who may not list. A config.json must be there.
    """
    return status in (404, 410) or (status == 403 and name != CONFIG_FILE)


def _is_web(handle: Handle) -> bool:
    return handle.location.startswith("http")


def _is_google(handle: Handle) -> bool:
    return handle.location.startswith("gs:")


def _stored_files(handle: Handle, settings: Settings) -> list[RemoteFile]:
    from pyarrow import fs

    def found() -> tuple[str, list[Any]]:
        filesystem, root = open_store(handle.location, settings)
        # Google's client has no error of its own for a directory that is not there.
        lenient = _is_google(handle)
        selector = fs.FileSelector(root, recursive=True, allow_not_found=lenient)
        return root, filesystem.get_file_info(selector)

    with _errors(str(handle)):
        root, infos = interruptible(found)
    if len(infos) > MAX_LISTED_FILES:
        raise NetworkError(f"{handle}: holds more than {MAX_LISTED_FILES:,} files")
    return [
        RemoteFile(info.path.removeprefix(root).lstrip("/"), size=info.size, tag=str(info.mtime_ns))
        for info in infos
        if info.type is fs.FileType.File
    ]


@contextmanager
def _stored(
    handle: Handle, settings: Settings, file: RemoteFile, offset: int
) -> Iterator[ByteStream]:
    """Give a stored file's bytes; after an interrupt, the file is left to the call that waits."""

    def opened() -> Any:
        filesystem, root = open_store(handle.location, settings)
        return opened_at(filesystem, f"{root}/{file.name}", offset)

    with _errors(f"{handle}/{file.name}"):
        stream = interruptible(opened)
    try:
        yield ByteStream(file, offset, "", lambda: _store_chunks(stream, handle))
    except Exception:
        interruptible(stream.close)
        raise
    interruptible(stream.close)


def _store_chunks(stream: Any, handle: Handle) -> Iterator[bytes]:
    import pyarrow as pa

    try:
        while chunk := interruptible(lambda: stream.read(_CHUNK_BYTES)):
            yield chunk
    except (OSError, pa.ArrowException) as error:
        what = f"{handle}: {first_line(error)}"
        if handle.location.startswith("file:"):
            raise TransientError(what) from error
        # Arrow's client has retried what may go away.
        raise NetworkError(what, hint="try again: what has been fetched is kept") from error


def _errors(where: str) -> AbstractContextManager[None]:
    missing = PresetNotFoundError(f"{where}: there is no such file or directory")
    return store_errors(where, missing)
