"""Hubs that serve a tiny preset, and caches of their own for every test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from huggingface_hub import constants as hub_constants
from kagglesdk import kaggle_env
from pulls import HUBS, Files, Hub, Pauses, preset_files, serve, settings_under

from fnet_cli.config import Settings
from fnet_cli.presets.pulling import retrying

_CREDENTIALS = (
    "KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_ENVIRONMENT", "HF_TOKEN",
    "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_HUB_OFFLINE",
)  # fmt: skip


@pytest.fixture(scope="session")
def keras_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return preset_files(tmp_path_factory.mktemp("presets") / "keras")


@pytest.fixture(scope="session")
def transformers_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return preset_files(tmp_path_factory.mktemp("presets") / "transformers", "transformers")


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    settings = settings_under(tmp_path / "caches")
    for name in _CREDENTIALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(settings.kaggle_cache))
    monkeypatch.setattr(hub_constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    return settings


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> Pauses:
    """Return the pauses between tries, which are not waited for."""
    pauses = Pauses()
    monkeypatch.setattr(retrying, "time", pauses.clock())
    return pauses


@pytest.fixture
def serving(settings, monkeypatch) -> Iterator[Callable[[str, Files], Hub]]:
    """Return what starts a hub that the plain clients find, too."""
    running = []

    def start(kind: str, files: Files) -> Hub:
        context = serve(kind, files, settings)
        hub = context.__enter__()
        running.append(context)
        if hub.is_kaggle:
            endpoints = kaggle_env._env_to_endpoint
            monkeypatch.setitem(endpoints, kaggle_env.KaggleEnv.PROD, hub.server.url)
        else:
            template = f"{hub.server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
            monkeypatch.setattr(hub_constants, "ENDPOINT", hub.server.url)
            monkeypatch.setattr(hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        return hub

    yield start
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture(params=HUBS)
def hub(request, serving, keras_files) -> Hub:
    return serving(request.param, keras_files)
