"""The Hugging Face Hub, through huggingface_hub's client."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any
from urllib.parse import quote

from fnet_cli.config import Settings
from fnet_cli.errors import NetworkError
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.sources.base import ByteStream, Listing, RemoteFile, TransientError
from fnet_cli.presets.sources.http import (
    body_position,
    check_hops,
    check_listed_file,
    check_status,
    not_understood,
    reason,
    stated,
    unsendable,
    whole_answer,
)

_LOGIN = (
    "check owner, name and revision; for a private or gated repository log in with "
    "`hf auth login` or set HF_TOKEN"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")


class HuggingFaceSource:
    """Repositories on the Hub or on a server that speaks its protocol (HF_ENDPOINT).

    The client finds the token and drops it where a redirect leaves the Hub. The bytes come
    through its session, so that its proxies and certificates hold.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def list(self, handle: Handle) -> Listing:
        """Return the commit that `handle` means now, and its files."""
        import huggingface_hub

        model_info: Any = huggingface_hub.ModelInfo
        url = f"{self._api.endpoint}/api/models/{handle.location}"
        if handle.revision:
            url += f"/revision/{quote(handle.revision, safe='')}"
        with self._get(handle, f"{url}?blobs=true", str(handle), {}) as response, _errors(handle):
            info = model_info(**json.loads(whole_answer(response.iter_bytes())))
            found = [_remote_file(file) for file in info.siblings or []]
            # It becomes the name of a directory.
            if not _COMMIT.fullmatch(info.sha or ""):
                raise ValueError(f"commit {info.sha!r:.60}")
        return Listing(str(info.sha), {file.name: file for file in found})

    def find(self, handle: Handle, listing: Listing, name: str) -> RemoteFile | None:  # noqa: ARG002 - the interface's
        """Return a listed file."""
        return listing.files.get(name)

    @contextmanager
    def open(
        self, handle: Handle, listing: Listing, file: RemoteFile, offset: int
    ) -> Iterator[ByteStream]:
        """Ask for a file's bytes."""
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(
            handle.location, file.name, revision=listing.revision, endpoint=self._api.endpoint
        )
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self._get(handle, url, f"{handle}: {file.name}", headers) as response:
            start, size = body_position(response.status_code, response.headers, offset)
            yield ByteStream(
                file=stated(file, response.headers, size),
                offset=start,
                content_type=response.headers.get("Content-Type", ""),
                read=lambda: _chunks(response, handle),
            )

    @contextmanager
    def _get(self, handle: Handle, url: str, what: str, headers: dict[str, str]) -> Iterator[Any]:
        """Give a successful answer, its body unread: the client would read one of any length."""
        from huggingface_hub import get_session

        with ExitStack() as stack:
            with _errors(handle):
                response = stack.enter_context(
                    get_session().stream(
                        "GET",
                        url,
                        headers=self._api._build_hf_headers() | headers,
                        timeout=self._settings.timeout,
                    )
                )
            check_hops(str(hop.url) for hop in (*response.history, response))
            check_status(response.status_code, response.headers, what, _LOGIN)
            yield response

    @cached_property
    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(endpoint=self._settings.huggingface_endpoint or None, library_name="fnet-cli")


def _chunks(response: Any, handle: Handle) -> Iterator[bytes]:
    with _errors(handle, "the connection to the Hub failed"):
        yield from response.iter_bytes()


def _remote_file(file: Any) -> RemoteFile:
    if file.lfs is not None:
        found = RemoteFile(file.rfilename, size=file.lfs.size, sha256=file.lfs.sha256)
    else:
        found = RemoteFile(file.rfilename, size=file.size, git_sha1=file.blob_id)
    return check_listed_file(found)


@contextmanager
def _errors(handle: Handle, what: str = "cannot reach the Hub") -> Iterator[None]:
    """Turn the client's errors into ours; `what` is what a failed connection means."""
    import httpx2

    try:
        yield
    except httpx2.TooManyRedirects as error:
        raise NetworkError(f"{handle}: the Hub redirects without end") from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        if isinstance(error, httpx2.LocalProtocolError):  # whose text quotes the header
            raise unsendable("the Hub") from error
        raise TransientError(f"{what}: {reason(error)}") from error
    except UnicodeEncodeError as error:
        raise unsendable("the Hub") from error
    except OSError as error:  # of the client's own files
        raise NetworkError(f"cannot read the credentials for the Hub: {error}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # The client takes any JSON for an answer of the Hub.
        raise not_understood("the Hub", error) from error
