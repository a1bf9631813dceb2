"""A handle leads to one directory, or to one line that says what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import TINY, write_preset

from fnet_cli.config import Settings
from fnet_cli.errors import NetworkError, PresetError, PresetNotFoundError
from fnet_cli.presets.handles import Handle, SourceName
from fnet_cli.presets.pulling.events import ignore
from fnet_cli.presets.resolving import resolve_config, resolve_preset
from fnet_cli.presets.store.cached import CachedPreset
from fnet_cli.presets.store.caches import HuggingFaceCache

SETTINGS = Settings()


def test_a_bundled_name_is_in_the_package():
    preset = resolve_preset("f_net_mini_en", SETTINGS)
    assert preset.source == "bundled"
    assert (preset.directory / "model.weights.h5").is_file()


def test_a_directory_is_a_preset(tmp_path):
    write_preset(tmp_path / "mine", dtype="bfloat16")
    preset = resolve_preset(str(tmp_path / "mine"), SETTINGS)
    assert (preset.source, preset.config, preset.dtype) == ("local", TINY, "bfloat16")


def test_a_relative_name_of_a_directory_is_a_preset(tmp_path, monkeypatch):
    write_preset(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert resolve_preset("mine", SETTINGS).source == "local"


def test_a_builtin_name_wins_over_a_directory_of_that_name(tmp_path, monkeypatch):
    write_preset(tmp_path / "f_net_mini_en")
    monkeypatch.chdir(tmp_path)
    assert resolve_preset("f_net_mini_en", SETTINGS).source == "bundled"
    assert resolve_preset("./f_net_mini_en", SETTINGS).source == "local"


def test_an_empty_handle_is_the_default_preset(tmp_path):
    write_preset(tmp_path)
    assert resolve_preset("", SETTINGS).handle == "f_net_mini_en"
    chosen = Settings.from_env({"FNET_PRESET": str(tmp_path)})
    assert resolve_preset("", chosen).directory == tmp_path


def test_an_empty_variable_counts_as_unset():
    assert Settings.from_env({"FNET_PRESET": ""}) == Settings.from_env({})
    assert Settings.from_env({}).default_preset == SETTINGS.default_preset


@pytest.mark.parametrize(
    ("handle", "error", "message", "hint"),
    [
        ("f_net_mini_em", PresetNotFoundError, "no preset named f_net_mini_em", "f_net_mini_en"),
        (
            "zzz",
            PresetNotFoundError,
            "no preset named zzz",
            "give one of f_net_mini_en",
        ),
        ("f_net_base_en", PresetNotFoundError, "is not on this machine", "fnet presets pull"),
        ("hf://org/name", PresetNotFoundError, "is not on this machine", "fnet presets import"),
        ("./nowhere", PresetNotFoundError, "there is no directory ./nowhere", ""),
    ],
)
def test_what_is_not_here_is_said_with_what_to_do(handle, error, message, hint):
    with pytest.raises(error, match=message) as caught:
        resolve_preset(handle, SETTINGS)
    assert hint in caught.value.hint


def test_a_directory_without_a_config_and_a_file_are_no_presets(tmp_path):
    with pytest.raises(PresetError, match=r"is not a preset: it has no config\.json"):
        resolve_preset(str(tmp_path), SETTINGS)
    (tmp_path / "file").write_text("")
    with pytest.raises(PresetError, match="is a file, not a preset"):
        resolve_preset(str(tmp_path / "file"), SETTINGS)


def test_sizes_of_a_builtin_preset_are_known_without_its_files():
    assert resolve_config("f_net_large_en", SETTINGS).num_layers == 24


# --- What is pulled -------------------------------------------------------------------------------


@pytest.fixture
def asked(monkeypatch):
    """The options of every pull that is asked for; none of them succeeds."""
    options = []

    def refuse(handle, settings, given):
        options.append(given)
        raise NetworkError("no pulling here")

    monkeypatch.setattr("fnet_cli.presets.pulling.pull.pull", refuse)
    return options


@pytest.fixture
def nothing_here(tmp_path):
    names = ("KAGGLEHUB_CACHE", "HF_HUB_CACHE", "FNET_CACHE", "FNET_CONFIG")
    return Settings.from_env({name: str(tmp_path / name) for name in names})


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_a_pull_may_fetch_a_pickle_where_the_user_allows_it(asked, nothing_here, allow_pickle):
    with pytest.raises(NetworkError):
        resolve_preset("hf://owner/pt", nothing_here, ignore, allow_pickle=allow_pickle)
    assert [options.allow_pickle for options in asked] == [allow_pickle]


def test_a_pickle_in_a_cache_may_be_read_where_the_user_allows_it(tmp_path, nothing_here):
    cache = HuggingFaceCache(nothing_here.huggingface_cache)
    found = CachedPreset(Handle(SourceName.HUGGING_FACE, "owner/tiny", "a" * 40), cache)
    write_preset(found.directory)
    handle = str(found.handle)
    assert not resolve_preset(handle, nothing_here).allow_pickle
    assert resolve_preset(handle, nothing_here, allow_pickle=True).allow_pickle


def test_offline_a_mirror_on_a_disk_is_pulled_and_no_other_one(asked, nothing_here):
    offline = replace(nothing_here, offline=True)
    with pytest.raises(NetworkError):
        resolve_preset("file:///mnt/tiny", offline, ignore)
    with pytest.raises(PresetNotFoundError):
        resolve_preset("file:///mnt/tiny", offline)  # nobody said that it may
    with pytest.raises(PresetNotFoundError):
        resolve_preset("https://mirror.example/tiny", offline, ignore)
    assert len(asked) == 1
