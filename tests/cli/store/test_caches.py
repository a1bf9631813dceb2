"""Looking after the caches: many presets, several revisions, questions, a cache of no use."""

from __future__ import annotations

import json
import shutil

import pytest
from scene import BOTH, ON_HUB, ON_KAGGLE, refusal
from terminals import COLUMNS, CTRL_C, CTRL_D, on_terminal

EACH = 25
SIZES = {
    "vocab_size": 99, "num_hidden_layers": 1, "hidden_size": 8, "intermediate_size": 16,
    "hidden_dropout_prob": 0.1, "max_position_embeddings": 16, "type_vocab_size": 4,
}  # fmt: skip


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
    for arguments, error, hint in [
        ((), "name the presets to verify", "for all that are here: fnet presets verify --all"),
        (("--all", ON_HUB), "--all and names contradict each other", "leave one of them out"),
    ]:
        ran = pulled.fnet("presets", "verify", *arguments)
        assert (ran.returncode, refusal(ran)) == (2, (error, hint))


def test_verify_of_what_is_bundled_says_how_to_have_it_anew(pulled):
    ran = pulled.fnet("presets", "verify", "f_net_mini_en")
    assert (ran.returncode, "pip install --force-reinstall" in refusal(ran)[1]) == (2, True)


def test_an_empty_name_is_a_wrong_command_line(pulled):
    before = pulled.traces()
    for command in ("pull", "path", "inspect", "verify", "use", "remove --yes", "export -o x.tar"):
        ran = pulled.fnet("presets", *command.split(), "")
        assert (ran.returncode, refusal(ran)[0]) == (2, "the name of a preset is empty")
    assert pulled.traces() == before


def test_verify_tells_a_pickle_that_nobody_allowed_and_finds_no_damage(pulled):
    path = pulled.root / "huggingface/hub/models--owner--pt/snapshots" / ("a" * 40)
    path.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"model_type": "fnet", **SIZES}))
    (path / "pytorch_model.bin").write_bytes(b"whatever")
    ran = pulled.fnet("presets", "verify", "--all", "--json")
    states = {row["preset"]: row["state"] for row in json.loads(ran.stdout)}
    assert (ran.returncode, ran.stderr) == (0, "")
    assert states == {ON_KAGGLE: "ok", ON_HUB: "ok", "hf://owner/pt": "refused"}
    ran = pulled.fnet("presets", "verify", "hf://owner/pt")
    assert (ran.returncode, "--allow-pickle" in ran.stderr) == (4, True)


def test_a_list_on_80_columns_folds_no_handle(pulled):
    seen = on_terminal(pulled, "presets", "list")
    assert any(ON_KAGGLE in line for line in seen.screen)
    assert any(ON_HUB in line for line in seen.screen)
    assert max(map(len, seen.drawn)) <= COLUMNS


def test_what_would_be_removed_is_a_table_on_a_terminal(pulled):
    seen = on_terminal(pulled, "presets", "remove", ON_KAGGLE, "--dry-run")
    text = "\n".join(seen.screen)
    assert (seen.code, f"{ON_KAGGLE}/1" in text, "to remove" in text) == (0, True, True)


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
