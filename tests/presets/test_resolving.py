"""A handle leads to one directory, or to one line that says what to do."""

from __future__ import annotations

import pytest
from builders import TINY, write_preset

from fnet_cli.config import Settings
from fnet_cli.errors import PresetError, PresetNotFoundError
from fnet_cli.presets.resolving import resolve_config, resolve_preset

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
