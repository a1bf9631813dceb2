"""Kaggle, through kagglehub's client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fnet_cli.config import Settings
from fnet_cli.constants import MAX_LISTED_FILES, __version__
from fnet_cli.errors import NetworkError
from fnet_cli.presets.handles import Handle
from fnet_cli.presets.sources.base import ByteStream, Listing, RemoteFile, TransientError
from fnet_cli.presets.sources.http import (
    check_listed_file,
    check_status,
    not_understood,
    prepare_session,
    reason,
    requests_stream,
    unsendable,
)

_PAGE_SIZE = 25
_LOGIN = (
    "check the handle; for a private model or one that asks for consent, set KAGGLE_API_TOKEN "
    "or put a token into ~/.kaggle/access_token"
)


class KaggleSource:
    """Model versions on Kaggle.

    The client finds the credentials, speaks the protocol and follows redirects without handing
    the credentials on. Timeouts, ranges and the meaning of statuses are added here.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def list(self, handle: Handle) -> Listing:
        """Return the version that `handle` means, and its files."""
        from kagglesdk.models.types import model_api_service as api

        version = handle.revision or self._newest(handle)
        files: dict[str, RemoteFile] = {}
        token = ""
        for _ in range(MAX_LISTED_FILES // _PAGE_SIZE):
            request = _addressed(api.ApiListModelInstanceVersionFilesRequest(), handle)
            request.version_number = int(version)
            request.page_size = _PAGE_SIZE
            request.page_token = token
            with self._client() as client, _errors(handle):
                page = client.list_model_instance_version_files(request)
                for file in page.files:
                    found = check_listed_file(RemoteFile(file.name, size=file.size or None))
                    files[found.name] = found
            token = page.next_page_token
            if not token:
                return Listing(version, files)
        raise NetworkError(f"{handle}: Kaggle lists files without end")

    def find(self, handle: Handle, listing: Listing, name: str) -> RemoteFile | None:  # noqa: ARG002 - the interface's
        """Return a listed file."""
        return listing.files.get(name)

    @contextmanager
    def open(
        self, handle: Handle, listing: Listing, file: RemoteFile, offset: int
    ) -> Iterator[ByteStream]:
        """Ask for a file's bytes."""
        from kagglesdk.models.types import model_api_service as api

        request = _addressed(api.ApiDownloadModelInstanceVersionRequest(), handle)
        request.version_number = int(listing.revision)
        request.path = file.name
        with self._client(streaming=True, offset=offset) as client:
            with _errors(handle, file.name):
                response = client.download_model_instance_version(request)
            with response:  # raised, if its status is an error
                yield requests_stream(response, file, offset)

    def _newest(self, handle: Handle) -> str:
        from kagglesdk.models.types import model_api_service as api

        request = _addressed(api.ApiGetModelInstanceRequest(), handle)
        with self._client() as client, _errors(handle):
            version = client.get_model_instance(request).version_number
        if type(version) is not int or version < 1:
            raise NetworkError(f"{handle}: Kaggle states no version", hint="add /1 to the handle")
        return str(version)

    @contextmanager
    def _client(self, *, streaming: bool = False, offset: int = 0) -> Iterator[Any]:
        """Give the model API with the user's credentials, and with our manners on its session."""
        from kagglehub.config import get_kaggle_credentials
        from kagglesdk.kaggle_client import KaggleClient

        # kagglehub's own factory adds a hook that prints to standard output.
        try:
            found = get_kaggle_credentials()
        except ValueError as error:
            raise NetworkError(str(error)) from error
        secrets = (found.username, found.key, found.api_key) if found else ()
        if not all(secret.isascii() and secret.isprintable() for secret in secrets if secret):
            raise unsendable("Kaggle")
        with KaggleClient(
            username=found and found.username,
            password=found and found.key,
            api_token=found and found.api_key,
            user_agent=f"fnet-cli/{__version__}",
        ) as client:
            http = client.http_client()
            if self._settings.kaggle_endpoint:
                http._endpoint = self._settings.kaggle_endpoint
            prepare_session(
                http._session, self._settings.timeout, streaming=streaming, offset=offset
            )
            yield client.models.model_api_client


@contextmanager
def _errors(handle: Handle, name: str = "") -> Iterator[None]:
    """Turn the client's errors into ours; `name` is the file that it was asked for."""
    import requests

    what = f"{handle}: {name}" if name else str(handle)
    try:
        yield
    except requests.HTTPError as error:
        response = error.response
        assert response is not None  # the client always passes it
        with response:
            check_status(response.status_code, response.headers, what, _LOGIN)
        # An error under status 200. Its text stays out: it may quote a signed address.
        raise NetworkError(f"{what}: Kaggle answers with an error", hint=_LOGIN) from error
    except requests.TooManyRedirects as error:
        raise NetworkError(f"{handle}: Kaggle redirects without end") from error
    except requests.RequestException as error:
        if isinstance(error, requests.JSONDecodeError):
            raise not_understood("Kaggle", error) from error
        raise TransientError(f"cannot reach Kaggle: {reason(error)}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # The client takes any JSON for an answer of the API.
        raise not_understood("Kaggle", error) from error


def _addressed(request: Any, handle: Handle) -> Any:
    from kagglesdk.models.types.model_enums import ModelFramework

    owner, model, _framework, variation = handle.location.split("/")
    request.owner_slug = owner
    request.model_slug = model
    request.framework = ModelFramework.MODEL_FRAMEWORK_KERAS
    request.instance_slug = variation
    return request
