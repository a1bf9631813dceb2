"""`fnet presets` tells what there is and what is in it."""

from __future__ import annotations

import json
import os

import pytest
from builders import TINY, add_vocabulary, vocabulary, write_preset
from running import run_fnet

from fnet_cli.backbone.parameters import parameter_count


def listed(*arguments, env=None) -> dict[str, dict]:
    rows = json.loads(run_fnet("presets", "list", "--json", *arguments, env=env).stdout)
    return {row["name"]: row for row in rows}


def test_builtin_presets_are_listed_as_bundled_or_not_pulled():
    rows = listed()
    assert {name: row["state"] for name, row in rows.items()} == {
        "f_net_mini_en": "bundled",
        "f_net_base_en": "not pulled",
        "f_net_large_en": "not pulled",
    }
    assert rows["f_net_mini_en"]["bytes"] > 1_000_000
    assert rows["f_net_base_en"]["bytes"] is None


def test_in_a_pipe_the_list_is_one_tab_separated_line_each():
    heading, *lines = run_fnet("presets", "list").stdout.splitlines()
    assert heading == "name\tsource\trevision\tstate\tparameters\tbytes\tdescription"
    assert {line.count("\t") for line in lines} == {6}
    counts = {line.split("\t")[0]: line.split("\t")[4] for line in lines}
    assert counts["f_net_large_en"] == "236945408"


def test_directories_are_listed_and_invalid_ones_say_why(tmp_path):
    write_preset(tmp_path / "good")
    write_preset(tmp_path / "bad")
    (tmp_path / "bad" / "config.json").write_text("{}")
    rows = listed(tmp_path)
    assert rows[str(tmp_path / "good")]["parameters"] == parameter_count(TINY)
    assert rows[str(tmp_path / "good")]["state"] == "present"
    assert rows[str(tmp_path / "bad")]["state"] == "invalid"
    assert "config.json" in rows[str(tmp_path / "bad")]["description"]


def test_a_default_preset_that_is_a_directory_is_listed(tmp_path):
    write_preset(tmp_path)
    assert str(tmp_path) in listed(env={"FNET_PRESET": str(tmp_path)})


@pytest.mark.parametrize("encoding", ["utf-8:strict", "ascii:strict"])
@pytest.mark.parametrize("kind", ["tsv", "table", "json", "markdown"])
def test_a_name_that_cannot_be_encoded_is_escaped(tmp_path, kind, encoding):
    write_preset(tmp_path / os.fsdecode(b"caf\xe9"))
    env = {"PYTHONIOENCODING": encoding}
    ran = run_fnet("presets", "list", tmp_path, "--format", kind, env=env)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "caf\\udce9" in ran.stdout


def test_a_missing_directory_is_an_error(tmp_path):
    ran = run_fnet("presets", "list", tmp_path / "none")
    assert (ran.returncode, ran.stdout) == (4, "")


def test_inspect_shows_sizes_files_and_special_ids(tmp_path):
    write_preset(tmp_path)
    add_vocabulary(tmp_path, vocabulary(pad_id=9))
    found = json.loads(run_fnet("presets", "inspect", tmp_path, "--json").stdout)
    assert found["config"] == TINY.to_dict()
    assert sum(found["blocks"].values()) == found["parameters"] == parameter_count(TINY)
    assert found["tokenizer"]["pad"] == 9
    assert found["stored_dtypes"] == ["float32"]
    weights = found["files"]["model.weights.h5"]
    assert weights["bytes"] == (tmp_path / "model.weights.h5").stat().st_size
    assert len(weights["sha256"]) == 64
    assert found["refused"] == []


def test_inspect_shows_what_a_preset_recommends_to_encode(tmp_path):
    write_preset(tmp_path)
    recommended = {"pooling": "mean", "normalize": True, "sequence_length": 24}
    (tmp_path / "encode_settings.json").write_text(json.dumps(recommended))
    found = json.loads(run_fnet("presets", "inspect", tmp_path, "--json").stdout)
    assert found["encode_settings"] == recommended
    lines = run_fnet("presets", "inspect", tmp_path).stdout.splitlines()
    assert [line for line in lines if line.startswith("encode_settings.p")] == [
        "encode_settings.pooling\tmean"
    ]
    assert "encode_settings.normalize\ttrue" in lines
    table = run_fnet("presets", "inspect", tmp_path, "--format", "markdown").stdout.splitlines()
    assert "| encode_settings.normalize | true |" in table


def test_inspect_in_a_pipe_is_one_fact_a_line():
    lines = run_fnet("presets", "inspect", "f_net_mini_en").stdout.splitlines()
    assert {line.count("\t") for line in lines} == {1}
    assert "config.hidden_dim\t256" in lines


def test_inspect_of_the_bundled_preset_says_so_and_finds_nothing_wrong():
    ran = run_fnet("presets", "inspect", "f_net_mini_en", "--json")
    found = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (found["source"], found["refused"]) == ("bundled", [])
    assert found["parameters"] == 4_391_936


def test_inspect_of_a_preset_that_is_not_here_shows_what_is_known():
    found = json.loads(run_fnet("presets", "inspect", "f_net_large_en", "--json").stdout)
    assert (found["state"], found["parameters"]) == ("not pulled", 236_945_408)


@pytest.mark.parametrize("broken", ["model.weights.h5", "assets/tokenizer/vocabulary.spm"])
def test_inspect_of_a_broken_preset_prints_what_it_found_and_ends_with_4(tmp_path, broken):
    write_preset(tmp_path)
    add_vocabulary(tmp_path, vocabulary())
    (tmp_path / broken).write_bytes(b"damaged")
    ran = run_fnet("presets", "inspect", tmp_path, "--json")
    assert ran.returncode == 4
    assert json.loads(ran.stdout)["state"] == "invalid"
    assert broken in ran.stderr


def test_inspect_of_a_broken_preset_in_a_pipe_still_prints_facts_one_a_line(tmp_path):
    write_preset(tmp_path)
    (tmp_path / "model.weights.h5").write_bytes(b"damaged")
    ran = run_fnet("presets", "inspect", tmp_path)
    assert ran.returncode == 4
    assert {"state\tinvalid", "config.hidden_dim\t32"} <= set(ran.stdout.splitlines())
    assert ran.stderr.startswith("fnet: error: ")


def test_inspect_of_an_unknown_name_ends_with_4_and_prints_nothing():
    ran = run_fnet("presets", "inspect", "nope", "--json")
    assert (ran.returncode, ran.stdout) == (4, "")


# --- Convert ----------------------------------------------------------------------------------


def test_convert_writes_the_other_format_and_says_where(tmp_path):
    write_preset(tmp_path / "ours")
    ran = run_fnet("presets", "convert", "./ours", "new", "--to", "transformers", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == "fnet: wrote new in the format of transformers\n"
    rows = listed(tmp_path / "new")
    assert rows[str(tmp_path / "new")]["parameters"] == parameter_count(TINY)


def test_convert_refuses_a_directory_that_exists_with_7(tmp_path):
    write_preset(tmp_path / "ours")
    ran = run_fnet("presets", "convert", "./ours", "ours", "--to", "transformers", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (7, "")
    assert ran.stderr.startswith("fnet: error: ours exists\n")


def test_convert_of_an_unknown_preset_ends_with_4_and_writes_nothing(tmp_path):
    ran = run_fnet("presets", "convert", "nope", "new", "--to", "keras", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (4, "")
    assert list(tmp_path.iterdir()) == []
