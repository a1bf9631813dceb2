"""What is pulled once is there for keras_hub and transformers, and the other way round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from builders import TINY, add_vocabulary, vocabulary, write_preset
from fakes.content import files_under
from fakes.huggingface import FakeHub, Repo
from fakes.kaggle import FakeKaggle
from helpers import largest_difference, peer, random_inputs

from fnet_cli import FNetBackbone
from fnet_cli.config import Settings
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.loading import load_backbone
from fnet_cli.presets.pulling.pull import pull
from fnet_cli.presets.resolving import resolve_preset

HANDLE = "kaggle://keras/f_net/keras/f_net_base_en/3"


@pytest.fixture
def preset(tmp_path) -> Path:
    """A preset on disk; the servers' copy."""
    write_preset(tmp_path / "served")
    add_vocabulary(tmp_path / "served", vocabulary())
    return tmp_path / "served"


@pytest.fixture
def kaggle(preset, tmp_path, monkeypatch):
    """A Kaggle server that both clients reach, and settings with a cache that they share."""
    kaggle_env = pytest.importorskip("kagglesdk.kaggle_env")
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    with FakeKaggle({"keras/f_net/keras/f_net_base_en": {3: files_under(preset)}}) as server:
        endpoints = kaggle_env._env_to_endpoint
        monkeypatch.setitem(endpoints, kaggle_env.KaggleEnv.PROD, server.url)
        yield server, Settings(kaggle_cache=tmp_path / "cache", kaggle_endpoint=server.url)


def loaded(handle: str, settings: Settings) -> FNetBackbone:
    return load_backbone(resolve_preset(handle, settings), FNetBackbone)


def test_keras_hub_loads_what_was_pulled_without_fetching_it_again(kaggle, preset):
    keras_hub = peer("keras_hub")
    server, settings = kaggle
    pull(parse_handle("f_net_base_en"), settings)
    server.requests.clear()
    theirs = keras_hub.models.FNetBackbone.from_preset(HANDLE)
    # It asks for optional files that the preset does not have; of the others it fetches none.
    fetched = {request.file for request in server.requests}
    assert not fetched & set(files_under(preset))
    inputs = random_inputs(TINY, 2, 13)
    assert largest_difference(loaded("f_net_base_en", settings)(inputs), theirs(inputs)) <= 2e-5


def test_what_keras_hub_has_fetched_is_found_and_adopted(kaggle):
    keras_hub = peer("keras_hub")
    server, settings = kaggle
    theirs = keras_hub.models.FNetBackbone.from_preset(HANDLE)
    server.stop()
    offline = Settings(kaggle_cache=settings.kaggle_cache, offline=True)
    inputs = random_inputs(TINY, 2, 13)
    assert largest_difference(loaded("f_net_base_en", offline)(inputs), theirs(inputs)) <= 2e-5
    pulled = pull(parse_handle("f_net_base_en"), offline)
    assert pulled.fetched == []
    assert "model.weights.h5" in pulled.manifest.by_name


def test_transformers_loads_a_checkpoint_that_was_pulled(preset, tmp_path):
    peer("torch")
    transformers = peer("transformers")
    convert_preset(resolve_preset(str(preset), Settings()), tmp_path / "pt", "transformers")
    settings = Settings(huggingface_cache=tmp_path / "hub")
    with FakeHub({"acme/fnet": Repo.of(files_under(tmp_path / "pt"))}) as hub:
        settings = replace(settings, huggingface_endpoint=hub.url)
        pull(parse_handle("hf://acme/fnet"), settings)
    theirs = transformers.FNetModel.from_pretrained(
        "acme/fnet", cache_dir=tmp_path / "hub", local_files_only=True
    ).eval()
    from transformers_model import run_fnet_model

    inputs = random_inputs(TINY, 2, 13)
    made = loaded("hf://acme/fnet", settings)(inputs)
    assert largest_difference(made, run_fnet_model(theirs, inputs)) <= 2e-5
