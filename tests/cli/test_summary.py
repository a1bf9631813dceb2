"""`fnet summary` prints counts that pipelines can use."""

from __future__ import annotations

import json

import pytest
from builders import TINY, write_preset
from running import run_fnet, run_shell

from fnet_cli.backbone.parameters import parameter_count

PUBLISHED = {"f_net_base_en": 82_861_056, "f_net_large_en": 236_945_408}


def tsv(text: str) -> list[dict[str, str]]:
    heading, *lines = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(heading, line, strict=True)) for line in lines]


def test_without_a_preset_there_is_a_line_for_each_builtin_one():
    counts = {row["name"]: int(row["parameters"]) for row in tsv(run_fnet("summary").stdout)}
    assert PUBLISHED.items() <= counts.items()
    assert "f_net_mini_en" in counts


@pytest.mark.parametrize("by", ["layer", "block", "total"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_rows_of_every_grouping_add_up_to_the_published_count(name, by):
    rows = tsv(run_fnet("summary", name, "--by", by).stdout)
    assert sum(int(row["parameters"]) for row in rows) == PUBLISHED[name]
    assert sum(int(row["bytes"]) for row in rows) == 4 * PUBLISHED[name]


def test_a_pipe_gets_the_same_tsv_as_is_asked_for():
    piped = run_fnet("summary", "f_net_base_en")
    assert (piped.returncode, piped.stderr) == (0, "")
    assert piped.stdout == run_fnet("summary", "f_net_base_en", "--format", "tsv").stdout
    assert piped.stdout.splitlines()[0] == "name\toutput_shape\tparameters\tbytes"


def test_awk_reads_the_third_column():
    ran = run_shell("fnet summary f_net_large_en | awk '{n += $3} END {print n}'")
    assert (ran.stdout, ran.stderr) == ("236945408\n", "")


def test_json_is_one_document_with_rows_and_total():
    document = json.loads(run_fnet("summary", "f_net_base_en", "--format", "json").stdout)
    assert document["total"]["parameters"] == PUBLISHED["f_net_base_en"]
    assert sum(row["parameters"] for row in document["rows"]) == PUBLISHED["f_net_base_en"]
    assert [row["name"] for row in document["rows"]][:2] == ["embeddings", "f_net_layer_0"]


def test_json_without_a_preset_lists_them_all():
    document = json.loads(run_fnet("summary", "--format", "json").stdout)
    counts = {row["name"]: row["parameters"] for row in document["presets"]}
    assert PUBLISHED.items() <= counts.items()


@pytest.mark.parametrize("by", ["layer", "block", "total"])
@pytest.mark.parametrize("kind", ["table", "markdown"])
def test_people_are_shown_the_same_total_in_every_grouping(kind, by):
    lines = run_fnet("summary", "f_net_base_en", "--format", kind, "--by", by).stdout.split("\n")
    assert sum("82,861,056" in line for line in lines) == 1


def test_markdown_is_a_table():
    lines = run_fnet("summary", "f_net_base_en", "--format", "markdown").stdout.splitlines()
    assert lines[0].startswith("| Name |")
    assert set(lines[1]) == set("|-: ")
    assert "82,861,056" in lines[-1]


def test_a_table_in_a_pipe_is_neither_wrapped_nor_coloured():
    ran = run_fnet("summary", "f_net_base_en", "--format", "table", "--by", "layer")
    (line,) = [line for line in ran.stdout.splitlines() if "11/intermediate_dense" in line]
    assert line.split()[:3] == ["f_net_layer_11/intermediate_dense", "(B,S,3072)", "2,362,368"]
    assert "82,861,056" in ran.stdout
    assert "\x1b" not in ran.stdout


def test_bytes_follow_the_dtype():
    (row,) = tsv(run_fnet("summary", "f_net_base_en", "--by", "total", "--dtype", "float16").stdout)
    assert int(row["bytes"]) == 2 * PUBLISHED["f_net_base_en"]


def test_a_directory_is_summarised(tmp_path):
    write_preset(tmp_path)
    rows = tsv(run_fnet("summary", tmp_path).stdout)
    assert sum(int(row["parameters"]) for row in rows) == parameter_count(TINY)


def test_a_directory_without_a_preset_ends_with_4(tmp_path):
    ran = run_fnet("summary", tmp_path)
    assert (ran.returncode, ran.stdout) == (4, "")
    assert ran.stderr.startswith(f"fnet: error: {tmp_path}")


def test_an_unknown_name_ends_with_4_and_the_nearest_name():
    ran = run_fnet("summary", "f_net_basement")
    assert (ran.returncode, ran.stdout) == (4, "")
    error, hint = ran.stderr.splitlines()
    assert error == "fnet: error: there is no preset named f_net_basement"
    assert hint.startswith("fnet: hint: did you mean f_net_base_en")
