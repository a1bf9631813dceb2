"""Sharded presets, transformers' checkpoints, and pickles."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import pytest
from builders import TINY
from fakes import faults
from pulls import HUBS, WEIGHTS, Hub, read_files

from fnet_cli.constants import ENCODE_SETTINGS_FILE, SHARDED_WEIGHTS_FILE
from fnet_cli.errors import NetworkError, PresetError, UnsafePresetError
from fnet_cli.presets.encode_settings import EncodeSettings, Pooling
from fnet_cli.presets.resolving import resolve_preset
from fnet_cli.presets.store.cached import CachedPreset
from fnet_cli.presets.store.recording import adopt

PICKLE = "pytorch_model.bin"


@pytest.fixture(params=["kaggle-redirect", "huggingface"])
def hub(request, serving, keras_files) -> Hub:
    return serving(request.param, keras_files)


@pytest.fixture(params=["kaggle-redirect", "huggingface"])
def checkpoint(request, serving, transformers_files) -> Hub:
    return serving(request.param, transformers_files)


def shard(files: dict[str, bytes], directory) -> dict[str, bytes]:
    """Spread a preset's weights over two files, as Keras does."""
    directory.mkdir()
    whole = directory / WEIGHTS
    whole.write_bytes(files[WEIGHTS])
    names, groups = ("model_00000.weights.h5", "model_00001.weights.h5"), {}
    with h5py.File(whole) as source:
        for number, layer in enumerate(source["layers"]):
            name = names[number % 2]
            with h5py.File(directory / name, "a") as target:
                source.copy(f"layers/{layer}", target.require_group("layers"))
            source[f"layers/{layer}"].visit(
                lambda path, layer=layer, name=name: (
                    groups.update({f"/layers/{layer}/{path}": name})
                    if path.endswith("vars") else None
                )
            )  # fmt: skip
    whole.unlink()
    kept = {name: content for name, content in files.items() if name != WEIGHTS}
    index = json.dumps({"metadata": {"total_size": 1}, "weight_map": groups}).encode()
    return {**kept, SHARDED_WEIGHTS_FILE: index, **read_files(directory)}


def test_a_sharded_preset(hub: Hub, tmp_path):
    hub.publish(shard(hub.files, tmp_path / "shards"))
    pulled = hub.pull()
    hub.check(pulled)
    found = resolve_preset(str(hub.handle), hub.settings)
    assert [path.name for path in found.weight_files] == [
        "model_00000.weights.h5", "model_00001.weights.h5",
    ]  # fmt: skip


def test_a_preset_without_one_of_its_shards(hub: Hub, tmp_path):
    files = shard(hub.files, tmp_path / "shards")
    del files["model_00001.weights.h5"]
    hub.publish(files)
    with pytest.raises(PresetError, match="model_00001"):
        hub.pull()
    assert hub.here() is None


def test_a_sharded_preset_of_which_a_shard_did_not_come(hub: Hub, tmp_path):
    hub.publish(shard(hub.files, tmp_path / "shards"))
    hub.server.faults.append(faults.status(500, match="model_00001"))
    with pytest.raises(NetworkError):
        hub.pull()
    assert hub.here() is None
    assert hub.listed() == []
    hub.server.faults.clear()
    assert hub.pull().fetched == ["model_00001.weights.h5"]


@pytest.mark.parametrize("name", ["../evil.h5", "/etc/passwd", "train.py", "a\\b.h5"])
def test_an_index_that_names_other_files(hub: Hub, tmp_path, name):
    files = shard(hub.files, tmp_path / "shards")
    index = json.loads(files[SHARDED_WEIGHTS_FILE])
    index["weight_map"]["/layers/dense/vars"] = name
    hub.publish({**files, SHARDED_WEIGHTS_FILE: json.dumps(index).encode()})
    with pytest.raises(UnsafePresetError):
        hub.pull()
    assert not [request for request in hub.requests() if "weights.h5" in request.file]
    assert hub.listed() == []


def test_a_transformers_checkpoint(checkpoint: Hub):
    pulled = checkpoint.pull()
    checkpoint.check(pulled)
    assert pulled.manifest.layout == "transformers"
    assert resolve_preset(str(checkpoint.handle), checkpoint.settings).config == TINY


def test_a_checkpoint_that_the_plain_client_has_fetched(checkpoint: Hub):
    for name in ("config.json", "model.safetensors"):
        checkpoint.by_client(name)
    pulled = checkpoint.pull()
    checkpoint.check(pulled)
    assert pulled.fetched == ["spiece.model"]


@pytest.fixture(scope="module")
def pickled_files(transformers_files, tmp_path_factory) -> dict[str, bytes]:
    torch = pytest.importorskip("torch")
    safetensors = pytest.importorskip("safetensors.torch")
    path = tmp_path_factory.mktemp("pickle") / PICKLE
    torch.save(safetensors.load(transformers_files["model.safetensors"]), path)
    files = {name: transformers_files[name] for name in ("config.json", "spiece.model")}
    return {**files, PICKLE: path.read_bytes()}


@pytest.fixture(params=["kaggle-redirect", "huggingface"])
def pickled(request, serving, pickled_files) -> Hub:
    return serving(request.param, pickled_files)


def test_a_pickle_is_not_fetched(pickled: Hub):
    with pytest.raises(UnsafePresetError) as caught:
        pickled.pull()
    assert "--allow-pickle" in caught.value.hint
    assert not pickled.requests(PICKLE)
    assert pickled.listed() == []


def test_a_pickle_that_is_allowed(pickled: Hub):
    pulled = pickled.pull(allow_pickle=True)
    pickled.check(pulled)
    assert pulled.manifest.allow_pickle
    assert pickled.pull().fetched == []
    assert resolve_preset(str(pickled.handle), pickled.settings).allow_pickle


def test_safetensors_beside_a_pickle_are_taken(checkpoint: Hub, pickled_files):
    safe = dict(checkpoint.files)
    checkpoint.publish({**safe, PICKLE: pickled_files[PICKLE]})
    pulled = checkpoint.pull(allow_pickle=True)
    assert read_files(pulled.preset.directory) == safe
    assert not pulled.manifest.allow_pickle


def test_a_pickle_of_the_plain_clients_is_not_adopted_unasked(pickled: Hub):
    for name in pickled.files:
        pickled.by_client(name)
    with pytest.raises(UnsafePresetError):
        pickled.pull()
    pickled.settings = replace(pickled.settings, offline=True)
    with pytest.raises(UnsafePresetError):
        pickled.pull()
    preset = CachedPreset(pickled.exact, pickled.cache)
    with pytest.raises(UnsafePresetError):
        adopt(preset)
    assert not pickled.is_recorded()
    found = resolve_preset(str(pickled.handle), pickled.settings)
    with pytest.raises(UnsafePresetError), found.open_weights():
        pass
    assert pickled.pull(allow_pickle=True).manifest.allow_pickle


# --- Encode settings --------------------------------------------------------------------------

SETTINGS = {ENCODE_SETTINGS_FILE: b'{"pooling": "mean"}'}


@pytest.mark.parametrize("files", ["keras_files", "transformers_files"])
@pytest.mark.parametrize("kind", HUBS)
def test_encode_settings_come_with_a_preset_of_either_format(serving, request, kind, files):
    hub = serving(kind, {**request.getfixturevalue(files), **SETTINGS})
    pulled = hub.pull()
    hub.check(pulled)
    assert ENCODE_SETTINGS_FILE in pulled.fetched
    found = resolve_preset(str(hub.handle), hub.settings)
    assert found.encode_settings() == EncodeSettings(Pooling.MEAN)


def test_encode_settings_that_the_plain_client_left_out_are_fetched(checkpoint: Hub):
    checkpoint.publish({**checkpoint.files, **SETTINGS})
    for name in ("config.json", "model.safetensors"):  # as transformers itself does
        checkpoint.by_client(name)
    assert ENCODE_SETTINGS_FILE in checkpoint.pull().fetched


def test_bad_encode_settings_are_refused_and_nothing_is_left(hub: Hub):
    hub.publish({**hub.files, ENCODE_SETTINGS_FILE: b'{"pooling": "sum"}'})
    with pytest.raises(PresetError, match=f"{ENCODE_SETTINGS_FILE}: pooling is 'sum', allowed:"):
        hub.pull()
    assert hub.listed() == []
    assert hub.here() is None
