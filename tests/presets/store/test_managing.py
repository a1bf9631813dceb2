"""Removing and pruning: what goes is gone, what is needed stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import add_vocabulary, vocabulary, write_config, write_preset

from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.presets.handles import Handle, SourceName
from fnet_cli.presets.store import caches
from fnet_cli.presets.store.cached import CachedPreset, find_cached
from fnet_cli.presets.store.caches import KaggleCache, cache_of
from fnet_cli.presets.store.managing import leftovers, remove, verify
from fnet_cli.presets.store.recording import adopt

LOCATION = "acme/f_net/keras/tiny"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        kaggle_cache=tmp_path / "kaggle", huggingface_cache=tmp_path / "hub", own_cache=tmp_path
    )


def kaggle_preset(settings: Settings, version: str) -> CachedPreset:
    """Put a whole preset into kagglehub's cache, and record it as pulled by no version."""
    cache = KaggleCache(settings.kaggle_cache)
    preset = CachedPreset(Handle(SourceName.KAGGLE, LOCATION, version), cache)
    write_preset(preset.directory)
    add_vocabulary(preset.directory, vocabulary())
    (preset.home / f"{version}.complete").touch()
    adopt(preset)
    return preset


def test_the_only_whole_version_is_not_superseded_by_the_beginning_of_a_newer_one(settings):
    kaggle_preset(settings, "1")
    newer = settings.kaggle_cache / "models" / LOCATION
    (newer / "2").mkdir()
    write_config(newer / "2")
    (newer / ".complete/2").mkdir(parents=True)
    (newer / f".complete/2/{CONFIG_FILE}.complete").touch()
    assert leftovers(settings) == []


def test_a_version_is_superseded_by_a_newer_one_that_is_whole(settings):
    kaggle_preset(settings, "1")
    kaggle_preset(settings, "2")
    (found,) = leftovers(settings)
    assert (found.kind, found.preset.revision) == ("superseded revision", "1")
    found.remove()
    assert find_cached(Handle(SourceName.KAGGLE, LOCATION), settings).revision == "2"


def test_a_damaged_manifest_stops_no_pruning(settings):
    kaggle_preset(settings, "1").manifest_path.write_text("{")
    kaggle_preset(settings, "2")
    assert leftovers(settings) == []


def test_what_a_removal_that_was_killed_has_left_is_no_preset(settings, monkeypatch):
    preset = kaggle_preset(settings, "1")

    def killed(_path):
        raise KeyboardInterrupt

    monkeypatch.setattr(caches.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(preset)
    assert find_cached(preset.handle, settings) is None


def test_a_removed_preset_leaves_no_trace(settings):
    preset = kaggle_preset(settings, "1")
    remove(preset)
    assert not preset.home.exists()


def test_a_mirror_is_known_by_its_address_as_long_as_something_of_it_is_here(settings):
    cache = cache_of(SourceName.MIRROR, settings)
    address = "https://example.org/presets/tiny"
    cache.claim(address)
    partial = cache.home(address) / ".fnet/partial" / f"{'a' * 24}.{'b' * 8}.0.cc.part"
    partial.parent.mkdir()
    partial.write_bytes(b"half")
    (found,) = leftovers(settings)
    assert (found.name, found.bytes) == (address, 4)


def test_verifying_a_recorded_preset_finds_a_changed_byte(settings):
    preset = kaggle_preset(settings, "1")
    assert verify(preset).problems == []
    path = preset.directory / "metadata.json"
    path.write_bytes(path.read_bytes().replace(b"keras", b"KERAS"))
    assert "metadata.json has changed" in verify(preset).problems[0]
