"""Mirrors: a preset's directory on a web server, in an object store, or on a mounted disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from fnet_cli.config import Settings
from fnet_cli.constants import MAX_LISTED_FILES
from fnet_cli.errors import NetworkError, PresetNotFoundError
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.layouts import LAYOUTS
from fnet_cli.presets.sources.base import ByteStream, Listing, RemoteFile, TransientError
from fnet_cli.presets.sources.http import (
    check_status,
    prepare_session,
    reason,
    requests_stream,
)

_CHUNK_BYTES = 4 * 1024 * 1024
# What `list` asks a web server for.
_KNOWN_NAMES = dict.fromkeys(name for layout in LAYOUTS for name in layout.files.all)
_WEB_LOGIN = "check the address; credentials go into ~/.netrc"
_STORE_LOGIN = "check the address and the credentials in the environment of the object store"


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
            files = _stored_files(handle)
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
            with _store_errors(handle):
                filesystem, root = _filesystem(handle)
                stream = filesystem.open_input_file(f"{root}/{file.name}")
                stream.seek(offset)
            with stream:
                yield ByteStream(file, offset, "", lambda: _store_chunks(stream, handle))
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
            if status in (404, 410):
                return None
            if status in (405, 501):  # a server without HEAD: look at the head of a GET
                with self._get(handle, "GET", file) as whole:
                    status, response = whole.status_code, whole
                    if status in (404, 410):
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
                if _is_plain(response.url) and not _is_plain(handle.location):
                    raise NetworkError(
                        f"{handle}: redirects to plain http, which can be changed on its way"
                    )
                yield response


def _is_plain(url: str) -> bool:
    return url.startswith("http://")


def _is_web(handle: Handle) -> bool:
    return handle.location.startswith("http")


def _filesystem(handle: Handle) -> tuple[Any, str]:
    """Return Arrow's filesystem for an address, and the path in it."""
    from pyarrow import fs

    scheme, _, path = handle.location.partition("://")
    if scheme == "file":
        return fs.LocalFileSystem(), path
    # From an address, and only so, Arrow finds a bucket's region and heeds AWS_ENDPOINT_URL.
    filesystem, root = fs.FileSystem.from_uri(f"{scheme}://{quote(path)}")
    return filesystem, root


def _stored_files(handle: Handle) -> list[RemoteFile]:
    from pyarrow import fs

    with _store_errors(handle):
        filesystem, root = _filesystem(handle)
        found = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
        if len(found) > MAX_LISTED_FILES:
            raise NetworkError(f"{handle}: holds more than {MAX_LISTED_FILES:,} files")
        return [
            RemoteFile(
                info.path.removeprefix(root).lstrip("/"), size=info.size, tag=str(info.mtime_ns)
            )
            for info in found
            if info.type is fs.FileType.File
        ]


def _store_chunks(stream: Any, handle: Handle) -> Iterator[bytes]:
    try:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise TransientError(f"{handle}: {_first_line(error)}") from error


@contextmanager
def _store_errors(handle: Handle) -> Iterator[None]:
    """Turn what Arrow's filesystems raise into ours; it is OSError, save for odd addresses."""
    try:
        yield
    except FileNotFoundError as error:
        raise PresetNotFoundError(f"{handle}: there is no such directory") from error
    except PermissionError as error:
        raise NetworkError(f"{handle}: access is refused", hint=_STORE_LOGIN) from error
    except (OSError, ValueError) as error:
        # Arrow's client has retried what may go away.
        raise NetworkError(f"{handle}: {_first_line(error)}", hint=_STORE_LOGIN) from error


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]
