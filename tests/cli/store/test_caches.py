"""Looking after the caches: many presets, several revisions, questions, a cache of no use."""

from __future__ import annotations

import shutil

import pytest
from scene import BOTH, ON_HUB, ON_KAGGLE, refusal
from terminals import COLUMNS, CTRL_C, CTRL_D, on_terminal

EACH = 25


@pytest.fixture
def crowded(pulled):
    """A user whose caches hold fifty presets."""
    models = pulled.root / "kagglehub/models/owner/model/keras"
    repos = pulled.root / "huggingface/hub"
    for number in range(1, EACH):
        shutil.copytree(models / "tiny", models / f"tiny_{number}")
        copy = repos / f"models--owner--tiny_{number}"
        shutil.copytree(repos / "models--owner--tiny", copy, symlinks=True)
    return pulled


def test_fifty_presets_are_fifty_rows(crowded):
    rows = crowded.listed()
    assert len({row["name"] for row in rows}) == 2 * EACH
    assert {row["state"] for row in rows} == {"pulled"}
    assert len(crowded.ok("presets", "list", "--cached").splitlines()) == 2 * EACH + 1
    assert len(crowded.ok("presets", "list").splitlines()) == 2 * EACH + 4


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n", CTRL_D, CTRL_C])
def test_a_person_is_asked_before_anything_goes(pulled, answer):
    before = pulled.traces()
    seen = on_terminal(pulled, "presets", "remove", ON_KAGGLE, answer=answer)
    text = "\n".join(seen.screen)
    assert f"  {ON_KAGGLE}/1 (" in text
    assert "Traceback" not in text
    if answer == "y\n":
        assert (seen.code, f"fnet: removed {ON_KAGGLE}/1: " in text) == (0, True)
        assert pulled.traces() != before
    else:
        assert seen.code == (130 if answer == CTRL_C else 0)
        assert ("interrupted" if answer == CTRL_C else "fnet: nothing was removed") in text
        assert pulled.traces() == before


def test_one_revision_named_twice_is_removed_once(pulled):
    ran = pulled.fnet("presets", "remove", ON_KAGGLE, f"{ON_KAGGLE}/1", "--yes")
    assert (ran.returncode, ran.stderr.count("fnet: removed ")) == (0, 1)


def test_nothing_is_removed_where_one_name_is_wrong(pulled):
    before = pulled.traces()
    for name, code in [("f_net_mini_en", 2), ("hf://owner/none", 4), ("nothing_like_it", 4)]:
        ran = pulled.fnet("presets", "remove", ON_KAGGLE, name, "--yes")
        refusal(ran)
        assert ran.returncode == code
    assert pulled.traces() == before


def test_verify_wants_names_or_all(pulled):
    for arguments in [(), ("--all", ON_HUB)]:
        ran = pulled.fnet("presets", "verify", *arguments)
        assert (ran.returncode, "--all" in refusal(ran)[0]) == (2, True)


def test_tables_fit_a_terminal(pulled):
    for command in (("list", "--cached"), ("verify", "--all"), ("inspect", ON_KAGGLE)):
        seen = on_terminal(pulled, "presets", *command)
        assert seen.code == 0
        assert max(map(len, seen.drawn)) <= COLUMNS


@pytest.mark.parametrize("handle", BOTH)
def test_a_file_in_the_place_of_a_cache_is_told(scene, handle):
    variable = "KAGGLEHUB_CACHE" if handle == ON_KAGGLE else "HF_HUB_CACHE"
    place = scene.root / "file"
    place.write_text("mine")
    ran = scene.fnet("presets", "pull", handle, **{variable: str(place)})
    error, hint = refusal(ran)
    assert (ran.returncode, str(place) in error, "KAGGLEHUB_CACHE" in hint) == (7, True, True)
    assert place.read_text() == "mine"
    # To look into it is no failure.
    assert scene.ok("presets", "list", "--cached", "--json", **{variable: str(place)}) == "[]\n"
