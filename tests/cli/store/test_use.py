"""`fnet presets use`: a default preset, kept in a config file beside what else is in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import TINY
from scene import ON_HUB, ON_KAGGLE, refusal


def hidden_dim(scene, **env: str) -> int:
    """Return the width of the default preset, as the job of an encode would have it."""
    rows = json.loads(scene.ok("summary", "", "--format", "json", **env))
    return int(rows["rows"][0]["output_shape"].removesuffix(")").split(",")[-1])


def config_of(scene) -> Path:
    return Path(scene.env["FNET_CONFIG"])


@pytest.mark.parametrize("handle", [ON_KAGGLE, ON_HUB])
def test_the_default_is_written_and_used(pulled, handle):
    assert hidden_dim(pulled) == 256
    ran = pulled.fnet("presets", "use", handle)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == f"fnet: {handle} is the default preset now ({config_of(pulled)})\n"
    assert hidden_dim(pulled, FNET_OFFLINE="1") == TINY.hidden_dim
    (pulled.root / "tokens.jsonl").write_text('{"token_ids": [61]}\n')  # more than tiny has
    ran = pulled.fnet("encode", "tokens.jsonl", "-o", "out.jsonl")
    assert (ran.returncode, "61" in ran.stderr) == (3, True)


def test_the_environment_wins(pulled):
    pulled.ok("presets", "use", ON_KAGGLE)
    assert hidden_dim(pulled, FNET_PRESET="f_net_mini_en") == 256


def test_what_else_is_in_the_file_stays(pulled):
    text = (
        '# mine\npreset = "f_net_mini_en" # the small one\n\n[encode]\ncolumns = ["a", "b"] # why\n'
    )
    config_of(pulled).parent.mkdir(parents=True)
    config_of(pulled).write_text(text)
    pulled.ok("presets", "use", ON_HUB)
    assert config_of(pulled).read_text() == text.replace("f_net_mini_en", ON_HUB)


def test_a_directory_is_kept_as_an_absolute_path(scene, presets):
    (scene.root / "mine").symlink_to(presets["tiny"])
    scene.ok("presets", "use", "./mine")
    assert f'preset = "{scene.root / "mine"}"' in config_of(scene).read_text()


def test_a_preset_that_is_not_here_is_noted(scene):
    ran = scene.fnet("presets", "use", ON_HUB)
    assert ran.returncode == 0
    assert f"fnet: note: {ON_HUB} is not on this machine yet" in ran.stderr
    assert scene.fetched(ON_HUB) == []


def test_an_unknown_name_is_refused_and_nothing_is_written(scene):
    for name, code in [("nothing_like_it", 4), ("./none", 4), ("hf://owner", 2)]:
        ran = scene.fnet("presets", "use", name)
        refusal(ran)
        assert ran.returncode == code
    assert not config_of(scene).exists()


@pytest.mark.parametrize("text", ["preset = \n", "[[", 'preset = ["a"]\n', "\xff"])
def test_a_damaged_file_is_named_and_left_as_it_is(scene, text):
    config_of(scene).parent.mkdir(parents=True)
    config_of(scene).write_bytes(text.encode("latin-1"))
    for command in (("presets", "use", "f_net_mini_en"), ("summary", "f_net_mini_en")):
        ran = scene.fnet(*command)
        error, _ = refusal(ran)
        assert (ran.returncode, str(config_of(scene)) in error) == (2, True)
    assert config_of(scene).read_bytes() == text.encode("latin-1")


def test_what_is_used_instead_is_noted(scene):
    ran = scene.fnet("presets", "use", "f_net_mini_en", FNET_PRESET="f_net_base_en")
    assert ran.stderr.splitlines()[-1] == "fnet: note: here, FNET_PRESET decides it"
    assert "decides" not in scene.fnet("presets", "use", "f_net_mini_en").stderr
