"""Files that a URI names: on this machine's disks, in object stores, and wherever fsspec reaches.

`s3`, `gs`, `hdfs` and `file` are Arrow's own filesystems; any other scheme is fsspec's, where that
is installed and knows it. Credentials come from the environment of the store's client.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from fnet_cli.config import Settings, check_web_address
from fnet_cli.errors import AccessError, FnetError, NetworkError, UsageError

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
# What is in front of their first slash is a bucket, and no host.
_BUCKETS = ("s3", "gs")
_ARROW = (*_BUCKETS, "hdfs", "file")
_WEB = ("http", "https")
_ON_THIS_MACHINE = ("file", "local", "memory")
_SECRET_QUERY = re.compile(
    r"[?&][^/=]*(key|secret|token|sig|password|credential)[^/=]*=", re.IGNORECASE
)
_LOGIN = "check the address and the credentials in the environment of the object store"


def is_uri(text: str) -> bool:
    """Whether `text` is a URI and no path."""
    return _URI.match(text) is not None


def scheme_of(uri: str) -> str:
    """Return what is in front of `://`, in lower case."""
    return uri.partition("://")[0].lower()


def local_path(text: str) -> str:
    """Return the path that a `file://` URI stands for; what is none comes back as it is.

    As in the other schemes a `%` is a `%`. Raises UsageError for a file of another host.
    """
    if not is_uri(text) or scheme_of(text) != "file":
        return text
    path = text.partition("://")[2].removeprefix("localhost")
    if not path.startswith("/"):  # a host, with credentials perhaps
        raise UsageError(
            "file://...: a host is not an address of a file here",
            hint="write an absolute path: file:///directory/file",
        )
    return path


def check_uri(uri: str) -> None:
    """Raise UsageError for a URI that holds credentials, which are not shown, or leads nowhere."""
    scheme, rest = scheme_of(uri), uri.partition("://")[2]
    if scheme == "file":
        local_path(uri)
        return
    if "::" in uri and scheme not in _ARROW:
        raise UsageError(
            f"{scheme:.20}://...: chains of URIs are not read", hint="give a file in a store"
        )
    authority = rest.partition("/")[0]
    if _holds_credentials(scheme, authority) or _SECRET_QUERY.search(rest):
        raise UsageError(
            f"{scheme:.20}://...: credentials seem to stand in this URI",
            hint="it would end in logs: they go into the variables of the store, such as "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )
    if scheme in _WEB:
        raise UsageError(
            f"{re.split('[?#]', uri)[0]:.200}: files on web servers are not read",
            hint="fetch it first, or give - and pipe it: curl ... | fnet encode - ...",
        )
    if scheme in _BUCKETS and not authority:
        raise UsageError(f"{uri:.200} names no bucket", hint=f"write {scheme}://bucket/...")
    if "//" in rest and scheme in _BUCKETS:
        raise UsageError(f"{uri:.200}: two slashes in a row", hint="Arrow cannot read such a key")


def _holds_credentials(scheme: str, authority: str) -> bool:
    """Whether a password is there: behind a `:` that is no port's, so also one that a `/` cuts."""
    if scheme in _BUCKETS:
        return "@" in authority or ":" in authority
    user, _, host = authority.rpartition("@")
    port = host.rpartition("]")[2].partition(":")[2]
    return ":" in user or bool(port and not port.isdigit())


class Stores:
    """The stores that the settings give access to, each opened once.

    Its methods may wait for a network: call them through `interruptible`.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opened: dict[tuple[str, str], Any] = {}

    def __reduce__(self) -> tuple[type[Stores], tuple[Settings]]:
        return type(self), (self._settings,)  # another process opens its own

    def place(self, uri: str) -> tuple[Any, str]:
        """Return Arrow's filesystem for a URI, and the path in it; raises as `open_store`."""
        check_uri(uri)
        key = scheme_of(uri), uri.partition("://")[2].partition("/")[0]
        if key not in self._opened:
            self._opened[key] = _filesystem(uri, self._settings)
        return self._opened[key], _path_in(self._opened[key], uri)


def open_store(uri: str, settings: Settings) -> tuple[Any, str]:
    """Return Arrow's filesystem for a URI, and the path in it. It may wait for a network.

    Raises UsageError for a URI that cannot be used and for what is not installed, NetworkError
    where the settings forbid connections, and what Arrow raises: `store_errors` is for that.
    """
    return Stores(settings).place(uri)


def _filesystem(uri: str, settings: Settings) -> Any:
    from pyarrow import fs

    scheme, authority = scheme_of(uri), uri.partition("://")[2].partition("/")[0]
    if settings.offline and scheme not in _ON_THIS_MACHINE:
        raise NetworkError(
            f"{uri} cannot be read offline",
            hint="unset FNET_OFFLINE and HF_HUB_OFFLINE and leave --offline out, or bring a copy",
        )
    if scheme == "s3":
        return _s3_filesystem(authority, settings)
    if scheme == "gs":
        limit = math.ceil(settings.timeout * (settings.retries + 1))
        return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=limit))
    if scheme == "file":
        return fs.LocalFileSystem()
    return _hadoop(uri) if scheme == "hdfs" else _by_fsspec(uri)


def _path_in(filesystem: Any, uri: str) -> str:
    scheme, rest = scheme_of(uri), uri.partition("://")[2]
    if scheme == "file":
        return local_path(uri)
    if scheme in _BUCKETS:
        return rest.rstrip("/")
    if scheme == "hdfs":
        return "/" + rest.partition("/")[2].rstrip("/")
    return str(filesystem.handler.fs._strip_protocol(uri))


def _s3_filesystem(bucket: str, settings: Settings) -> Any:
    from pyarrow import fs

    region, place = settings.s3_region, {}
    if settings.s3_endpoint:
        check_web_address(settings.s3_endpoint, "AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL")
        parts = urlsplit(settings.s3_endpoint)
        address = parts.netloc.rpartition("@")[2] + parts.path.rstrip("/")
        place = {"scheme": parts.scheme, "endpoint_override": address}
    else:  # a bucket of Amazon's knows better than a default
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        region=region or None,
        connect_timeout=settings.timeout,
        request_timeout=settings.timeout,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=settings.retries + 1),
        **place,
    )


def _hadoop(uri: str) -> Any:
    import pyarrow as pa
    from pyarrow import fs

    if not pa.have_libhdfs():
        raise UsageError(
            f"{uri:.200}: hdfs:// needs libhdfs, which is not here",
            hint="install Hadoop and set HADOOP_HOME, JAVA_HOME and CLASSPATH",
        )
    parts = urlsplit(uri)
    return fs.HadoopFileSystem(parts.hostname or "default", parts.port or 0, user=parts.username)


def _by_fsspec(uri: str) -> Any:
    from pyarrow import fs

    scheme = scheme_of(uri)
    try:
        import fsspec
        from fsspec.registry import known_implementations
    except ImportError:
        raise UsageError(
            f"{scheme:.40}:// needs fsspec, which is not installed",
            hint="pip install 'fnet-cli[fsspec]'; s3, gs, hdfs and file are read without it",
        ) from None
    try:
        fsspec.get_filesystem_class(scheme)
    except ImportError:
        needed = known_implementations.get(scheme, {}).get("err", "")
        raise UsageError(f"{scheme:.40}:// needs a package more", hint=needed) from None
    except ValueError:
        raise UsageError(
            f"{uri:.200}: there is no store {scheme:.40}://",
            hint="use s3://, gs://, hdfs://, file://, or a scheme that fsspec knows",
        ) from None
    made, _ = fsspec.core.url_to_fs(uri)
    return fs.PyFileSystem(fs.FSSpecHandler(made))


def file_info(filesystem: Any, path: str) -> Any:
    """Return Arrow's FileInfo of a path as it is now. It may wait for a network."""
    if is_of_fsspec(filesystem):
        filesystem.handler.fs.invalidate_cache()  # of listings, in which it may be another
    return filesystem.get_file_info(path)


def change_mark(filesystem: Any, info: Any) -> int:
    """Return a number that is another once the file has changed: its time, in nanoseconds.

    Where fsspec states no time, a digest of all that it says. It may wait for a network.
    """
    if info.mtime_ns is None and is_of_fsspec(filesystem):
        return int(filesystem.handler.fs.ukey(info.path)[:15], 16)
    time = int(info.mtime_ns or 0)
    # Listings of S3 may have fractions of a second, which what is said of one object has not.
    return time - time % 10**9 if filesystem.type_name == "s3" else time


def is_of_fsspec(filesystem: Any) -> bool:
    """Whether a filesystem is fsspec's, whose listings may say less than it says of one file."""
    return bool(filesystem.type_name.startswith("py::"))


def opened_at(filesystem: Any, path: str, offset: int) -> Any:
    """Open a stored file to be read from `offset` on; one at 0 cannot seek.

    It may wait for a network.
    """
    if offset == 0:
        return filesystem.open_input_stream(path, compression=None)
    file = opened_to_seek(filesystem, path)
    file.seek(offset)
    return file


def opened_to_seek(filesystem: Any, path: str) -> Any:
    """Open a stored file to be read anywhere. It may wait for a network.

    Google's random access file requests all bytes as soon as it is asked whether it is closed,
    which every method of Arrow's does first, and with the interpreter's lock held: until an answer
    comes no thread runs, and no interrupt gets through. It also loses the error of that request.
    A stream, which cannot seek, has neither fault. So where only a file will do, a stream is opened
    before it, to wait and to fail in its place.
    """
    if filesystem.type_name == "gcs":
        filesystem.open_input_stream(path, compression=None).close()
    return filesystem.open_input_file(path)


@contextmanager
def store_errors(where: str, missing: FnetError) -> Iterator[None]:
    """Turn what Arrow's filesystems raise into ours: `missing` where there is no such file.

    It is OSError, save for odd addresses and for credentials that Google's client cannot use;
    behind fsspec it may be anything, of which only the type is shown: what else would be in it?
    """
    import pyarrow as pa

    try:
        yield
    except FnetError:
        raise
    except FileNotFoundError as error:
        raise missing from error
    except PermissionError as error:
        raise AccessError(f"{where}: access is refused", hint=_LOGIN) from error
    except (OSError, ValueError, pa.ArrowException) as error:
        # Arrow's client has retried what may go away.
        raise NetworkError(f"{where}: {first_line(error)}", hint=_LOGIN) from error
    except Exception as error:
        if is_uri(where) and scheme_of(where) not in _ARROW:
            what = type(error).__name__
            raise NetworkError(f"{where}: cannot be read: {what}", hint=_LOGIN) from error
        raise


def first_line(error: Exception) -> str:
    """Return the part of a client's message that is for its user."""
    # What Google's client appends to its errors is for its makers.
    return str(error).partition("\n")[0].partition(" error_info={")[0][:300]
