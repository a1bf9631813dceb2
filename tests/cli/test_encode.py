"""`fnet encode` as a process: what is on which stream, and what is left on the disk."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import write_preset
from running import run_fnet, run_shell

from fnet_cli.cli.progress import _Lines, describe
from fnet_cli.encoding.report import Progress

EXAMPLE = Path(__file__).parents[2] / "docs/examples/sentences.parquet"


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Return (finished process, its output) of one run with --json and --normalize."""
    output = tmp_path_factory.mktemp("encoded") / "out.parquet"
    return run_fnet(
        "encode", EXAMPLE, "-o", output, "--padding", "bucket", "--normalize", "--json"
    ), output


def test_the_closing_record_is_the_only_thing_on_standard_output(encoded):
    ran, output = encoded
    (line,) = ran.stdout.splitlines()
    record = json.loads(line)
    assert record["rows_in"] == record["rows_out"] == 200
    assert record["rows_rejected"] == record["rows_truncated"] == record["tokens_lost"] == 0
    assert (record["preset"], record["output"]) == ("f_net_mini_en", str(output))
    assert record["settings"]["padding"] == "bucket"
    assert record["seconds"] > record["startup_seconds"] > 0
    tokens = pq.read_table(EXAMPLE)["token_ids"]
    assert record["tokens"] == len(tokens.combine_chunks().flatten())


def test_standard_error_says_what_was_done_and_where_it_went(encoded):
    ran, output = encoded
    note, closing, where = ran.stderr.splitlines()
    assert note.startswith("fnet: note: f_net_mini_en has random weights")
    assert closing.startswith("fnet: 200 rows in ")
    assert closing.endswith("0 truncated, preset f_net_mini_en")
    assert where == f"fnet: wrote {output}"


def test_the_output_holds_the_other_columns_and_the_embedding(encoded):
    table = pq.read_table(encoded[1])
    assert table.schema.names == ["id", "text", "embedding"]
    assert table.schema.field("embedding").type.list_size == 256
    assert table["id"].equals(pq.read_table(EXAMPLE)["id"])


def test_quiet_prints_nothing(tmp_path):
    ran = run_fnet("encode", EXAMPLE, "-o", tmp_path / "o.parquet", "--limit", 1, "-q")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_a_pipe_carries_json_lines_and_nothing_else():
    ran = run_shell(
        'printf \'{"token_ids": [4, 9, 5], "id": 7}\\n\' | fnet encode - -o - --padding none'
    )
    (line,) = ran.stdout.splitlines()
    assert json.loads(line)["id"] == 7
    assert len(json.loads(line)["embedding"]) == 256
    assert all(line.startswith("fnet: ") for line in ran.stderr.splitlines())


def test_rows_and_record_cannot_share_standard_output():
    ran = run_fnet("encode", EXAMPLE, "-o", "-", "--json")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--json and -o - both write to standard output" in ran.stderr


def test_an_existing_output_is_refused_with_7_and_kept(tmp_path):
    (tmp_path / "o.parquet").write_text("precious")
    ran = run_fnet("encode", EXAMPLE, "-o", tmp_path / "o.parquet")
    assert (ran.returncode, ran.stdout) == (7, "")
    assert "--overwrite replaces it" in ran.stderr
    assert (tmp_path / "o.parquet").read_text() == "precious"


def test_bad_input_ends_with_3_one_line_and_no_file(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"token_ids": [1]}\n{"token_ids": [8000]}\n')
    ran = run_fnet("encode", "bad.jsonl", "-o", "o.parquet", cwd=tmp_path)
    assert ran.returncode == 3
    assert ran.stderr == (
        "fnet: error: bad.jsonl: line 2: column token_ids: id 8000 is not in 0..7999 "
        "(the vocabulary is 8000)\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


def test_columns_are_separated_by_commas(tmp_path):
    output = tmp_path / "o.parquet"
    run_fnet("encode", EXAMPLE, "-o", output, "--limit", 1, "--columns", "text,id")
    assert pq.read_schema(output).names == ["text", "id", "embedding"]
    run_fnet("encode", EXAMPLE, "-o", output, "--limit", 1, "--columns", "", "--overwrite")
    assert pq.read_schema(output).names == ["embedding"]


def test_a_dry_run_shows_the_plan_and_writes_nothing(tmp_path):
    ran = run_fnet("encode", EXAMPLE, "-o", "o.parquet", "--dry-run", cwd=tmp_path)
    facts = dict(line.split(None, 1) for line in ran.stdout.splitlines())
    assert (facts["rows"], facts["expected_bytes"]) == ("200", "204.8 kB")
    assert facts["output_schema"].startswith("id: string; text: string; embedding: fixed_size_list")
    assert facts["estimated_seconds"].endswith("s")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_as_json_is_one_object(tmp_path):
    ran = run_fnet("encode", EXAMPLE, "-o", "o.parquet", "--dry-run", "--json", cwd=tmp_path)
    record = json.loads(ran.stdout)
    assert (record["rows"], record["preset"]) == (200, "f_net_mini_en")
    assert record["free_bytes"] > 0
    assert record["estimated_seconds"] > 0


def test_the_preset_option_wins_over_the_environment(tmp_path):
    write_preset(tmp_path / "preset")
    (tmp_path / "t.jsonl").write_text('{"token_ids": [1, 2]}\n')
    common = ["encode", "t.jsonl", "--padding", "none", "-q", "--json", "--overwrite"]
    env = {"FNET_PRESET": "./preset"}
    first = run_fnet(*common, "-o", "a.parquet", env=env, cwd=tmp_path)
    assert json.loads(first.stdout)["preset"] == "./preset"
    second = run_fnet(
        *common, "-o", "b.parquet", "--preset", "f_net_mini_en", env=env, cwd=tmp_path
    )
    assert json.loads(second.stdout)["preset"] == "f_net_mini_en"


# --- Progress ---------------------------------------------------------------------------------


def test_progress_tells_rows_rates_and_the_time_left():
    assert describe(Progress(500, 10_000, 10.0, 2000)) == (
        "500 of 2,000 rows (25%), 50 rows/s, 1,000 tokens/s, 30s left"
    )
    assert describe(Progress(500, 10_000, 10.0, None)) == "500 rows, 50 rows/s, 1,000 tokens/s"


def test_without_a_terminal_progress_is_a_line_every_few_seconds(capsys):
    lines = _Lines()
    for second in range(13):
        lines(Progress(10 * second, 100 * second, float(second), 1000))
    shown = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in shown] == ["50", "100"]
    assert all(line.startswith("fnet: ") for line in shown)
