"""The Hugging Face Hub, through huggingface_hub's client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Any

from fnet_cli.config import Settings
from fnet_cli.errors import NetworkError
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.sources.base import ByteStream, Listing, RemoteFile, TransientError
from fnet_cli.presets.sources.http import body_position, check_status, reason, stated

_LOGIN = (
    "check owner, name and revision; for a private or gated repository log in with "
    "`hf auth login` or set HF_TOKEN"
)


class HuggingFaceSource:
    """Repositories on the Hub or on a server that speaks its protocol (HF_ENDPOINT).

    The client finds the token and drops it where a redirect leaves the Hub. The bytes come
    through its session, so that its proxies and certificates hold.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def list(self, handle: Handle) -> Listing:
        """Return the commit that `handle` means now, and its files."""
        with _errors(handle):
            info = self._api.model_info(
                handle.location,
                revision=handle.revision,
                files_metadata=True,
                timeout=self._settings.timeout,
            )
            files = {file.rfilename: _remote_file(file) for file in info.siblings or []}
        if not info.sha:
            raise NetworkError(f"{handle}: the Hub states no commit")
        return Listing(info.sha, files)

    def find(self, handle: Handle, listing: Listing, name: str) -> RemoteFile | None:  # noqa: ARG002 - the interface's
        """Return a listed file."""
        return listing.files.get(name)

    @contextmanager
    def open(
        self, handle: Handle, listing: Listing, file: RemoteFile, offset: int
    ) -> Iterator[ByteStream]:
        """Ask for a file's bytes."""
        from huggingface_hub import get_session, hf_hub_url

        url = hf_hub_url(handle.location, file.name, revision=listing.revision)
        headers = self._api._build_hf_headers() | {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with ExitStack() as stack:
            with _errors(handle):
                response = stack.enter_context(
                    get_session().stream(
                        "GET", url, headers=headers, timeout=self._settings.timeout
                    )
                )
            check_status(response.status_code, response.headers, f"{handle}: {file.name}", _LOGIN)
            start, size = body_position(response.status_code, response.headers, offset)
            yield ByteStream(
                file=stated(file, response.headers, size),
                offset=start,
                content_type=response.headers.get("Content-Type", ""),
                read=lambda: _chunks(response, handle),
            )

    @cached_property
    def _api(self) -> Any:
        from huggingface_hub import HfApi

        return HfApi(library_name="fnet-cli")


def _chunks(response: Any, handle: Handle) -> Iterator[bytes]:
    with _errors(handle):
        yield from response.iter_bytes()


def _remote_file(file: Any) -> RemoteFile:
    if file.lfs is not None:
        return RemoteFile(file.rfilename, size=file.lfs.size, sha256=file.lfs.sha256)
    return RemoteFile(file.rfilename, size=file.size, git_sha1=file.blob_id)


@contextmanager
def _errors(handle: Handle) -> Iterator[None]:
    """Turn the client's errors into ours."""
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        yield
    except HfHubHTTPError as error:
        response = error.response
        check_status(response.status_code, response.headers, str(handle), _LOGIN)
        raise NetworkError(f"{handle}: the Hub answers {error!s:.200}") from error
    except HFValidationError as error:
        raise NetworkError(f"{handle}: {error!s:.200}") from error
    except httpx2.TooManyRedirects as error:
        raise NetworkError(f"{handle}: the Hub redirects without end") from error
    except (httpx2.HTTPError, httpx2.StreamError) as error:
        raise TransientError(f"cannot reach the Hub: {reason(error)}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # The client takes any JSON for an answer of the Hub.
        raise TransientError(f"the Hub's answer is not understood: {error!r:.200}") from error
