"""Inspecting reports what it can, and what is wrong, also where nothing could be loaded."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from builders import TINY, add_vocabulary, vocabulary, write_config, write_preset

from fnet_cli.backbone.parameters import parameter_count
from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE, WEIGHTS_FILE
from fnet_cli.errors import IntegrityError, PresetError, PresetNotFoundError, UnsafePresetError
from fnet_cli.presets import fingerprint, inspecting, listing
from fnet_cli.presets.handles import Handle, SourceName
from fnet_cli.presets.inspecting import inspect_preset
from fnet_cli.presets.listing import list_presets
from fnet_cli.presets.store.cached import CachedPreset
from fnet_cli.presets.store.caches import HuggingFaceCache
from fnet_cli.presets.store.recording import adopt

HANDLE = "hf://owner/tiny"
COMMIT = "a" * 40
PICKLE = "pytorch_model.bin"
SIZES = {
    "vocab_size": TINY.vocabulary_size, "num_hidden_layers": TINY.num_layers,
    "hidden_size": TINY.hidden_dim, "intermediate_size": TINY.intermediate_dim,
    "hidden_dropout_prob": TINY.dropout, "max_position_embeddings": TINY.max_sequence_length,
    "type_vocab_size": TINY.num_segments,
}  # fmt: skip


@pytest.fixture
def settings(tmp_path):
    names = ("KAGGLEHUB_CACHE", "HF_HUB_CACHE", "FNET_CACHE", "FNET_CONFIG")
    return Settings.from_env({name: str(tmp_path / name) for name in names})


def snapshot(settings: Settings, files: Path) -> Path:
    """Put the files of a directory into Hugging Face's cache: links to blobs."""
    home = settings.huggingface_cache / "models--owner--tiny"
    directory = home / "snapshots" / COMMIT
    for number, path in enumerate(sorted(filter(Path.is_file, files.rglob("*")))):
        blob, link = home / "blobs" / str(number), directory / path.relative_to(files)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, blob)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(COMMIT)
    return directory


@pytest.fixture
def tiny(tmp_path, settings) -> Path:
    """The snapshot of a preset in Keras' format."""
    write_preset(tmp_path / "tiny")
    add_vocabulary(tmp_path / "tiny", vocabulary())
    return snapshot(settings, tmp_path / "tiny")


def record(settings: Settings) -> CachedPreset:
    handle = Handle(SourceName.HUGGING_FACE, "owner/tiny", COMMIT)
    preset = CachedPreset(handle, HuggingFaceCache(settings.huggingface_cache))
    adopt(preset)
    return preset


def test_a_pickle_in_a_cache_is_reported_and_refused(tmp_path, settings):
    (tmp_path / "pt").mkdir()
    (tmp_path / "pt" / CONFIG_FILE).write_text(json.dumps({"model_type": "fnet", **SIZES}))
    (tmp_path / "pt" / PICKLE).write_bytes(b"whatever")
    snapshot(settings, tmp_path / "pt")
    found = inspect_preset(HANDLE, settings)
    assert isinstance(found.problem, UnsafePresetError)
    assert (found.state, found.config) == ("invalid", TINY.to_dict())
    assert set(found.files) == {CONFIG_FILE, PICKLE}


def test_a_cut_file_is_reported_with_all_that_can_be_read(tiny, settings):
    record(settings)
    (tiny / WEIGHTS_FILE).write_bytes((tiny / WEIGHTS_FILE).read_bytes()[:-100])
    found = inspect_preset(HANDLE, settings)
    assert isinstance(found.problem, IntegrityError)
    assert "fnet presets pull" in found.problem.hint
    assert (found.parameters, found.layout) == (parameter_count(TINY), "keras")
    assert len(set(found.refused)) == len(found.refused)
    assert found.files[WEIGHTS_FILE]["bytes"] == (tiny / WEIGHTS_FILE).stat().st_size


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("content", ["", '{"registered_name": "Evil>Model", "config": {}}'])
def test_a_config_that_cannot_be_used_is_reported_without_its_sizes(
    tiny, settings, recorded, content
):
    if recorded:
        record(settings)
    (tiny / CONFIG_FILE).write_text(content)
    if not recorded and content:  # nobody's preset
        with pytest.raises(PresetNotFoundError):
            inspect_preset(HANDLE, settings)
        return
    found = inspect_preset(HANDLE, settings)
    assert found.problem is not None
    assert (found.state, found.config, found.blocks) == ("invalid", {}, {})
    assert found.parameters == (parameter_count(TINY) if recorded else None)
    assert {CONFIG_FILE, WEIGHTS_FILE} <= set(found.files)
    json.dumps(found.to_dict())


def test_a_damaged_record_is_reported(tiny, settings):
    record(settings).manifest_path.write_text("{}")
    found = inspect_preset(HANDLE, settings)
    assert isinstance(found.problem, PresetError)
    assert WEIGHTS_FILE in found.files


def test_a_refused_config_of_a_directory_is_reported(tmp_path, settings):
    write_preset(tmp_path / "bad")
    write_config(tmp_path / "bad", module="evil", class_name="Evil", registered_name="Evil>Evil")
    found = inspect_preset(str(tmp_path / "bad"), settings)
    assert (found.source, found.state, found.parameters) == ("local", "invalid", None)
    assert WEIGHTS_FILE in found.files


@pytest.mark.parametrize("handle", ["nope", "hf://owner/none", "./none"])
def test_what_is_not_there_is_an_error(settings, handle):
    with pytest.raises(PresetNotFoundError):
        inspect_preset(handle, settings)


def test_a_snapshot_given_as_a_directory_shows_its_files(tiny, settings):
    found = inspect_preset(str(tiny), settings)
    assert (found.problem, found.state) == (None, "present")
    assert {CONFIG_FILE, WEIGHTS_FILE, "assets/tokenizer/vocabulary.spm"} <= set(found.files)
    row = list_presets([tiny], settings)[-1]
    assert row.bytes == sum(file["bytes"] for file in found.files.values()) > 50_000


def test_a_link_that_leads_elsewhere_is_none_of_its_files(tmp_path, settings):
    write_preset(tmp_path / "tiny")
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "tiny" / "tokenizer.json").symlink_to(tmp_path / "secret.json")
    assert "tokenizer.json" not in inspect_preset(str(tmp_path / "tiny"), settings).files


def test_the_files_of_a_recorded_preset_are_read_once(tiny, settings, monkeypatch):
    record(settings)
    read: list[str] = []
    whole = fingerprint.file_sha256

    def counted(path: Path) -> str:
        read.append(path.name)
        return whole(path)

    monkeypatch.setattr("fnet_cli.presets.fingerprint.file_sha256", counted)
    monkeypatch.setattr("fnet_cli.presets.store.recording.file_sha256", counted)
    assert inspect_preset(HANDLE, settings).problem is None
    assert read.count(WEIGHTS_FILE) == 1


def test_a_file_that_goes_away_meanwhile_counts_nothing(tmp_path, settings, monkeypatch):
    write_preset(tmp_path / "tiny")
    names = [*listing.file_names(tmp_path / "tiny", None)]
    gone = [tmp_path / "tiny" / name for name in names]
    size = sum(path.stat().st_size for path in gone if path.exists() and path.name != WEIGHTS_FILE)
    (tmp_path / "tiny" / WEIGHTS_FILE).rename(tmp_path / "elsewhere")
    for module in (listing, inspecting):
        monkeypatch.setattr(module, "preset_files", lambda directory, layout: gone)
    assert list_presets([tmp_path / "tiny"], settings)[-1].bytes == size
    found = inspect_preset(str(tmp_path / "tiny"), settings)
    assert found.files[WEIGHTS_FILE] == {"bytes": 0, "sha256": None}
