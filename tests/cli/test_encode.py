"""`fnet encode` as a process: what is on which stream, and what is left on the disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from builders import write_preset
from running import run_fnet, run_once, run_shell

from fnet_cli.cli.main import main
from fnet_cli.constants import __version__

EXAMPLE = Path(__file__).parents[2] / "docs/examples/sentences.parquet"
LINE = '{"token_ids": [4, 9, 5], "id": 7}\n'


# Each start of TensorFlow takes seconds: two runs answer most of the questions below.


def run_with_everything(directory: Path):
    write_preset(directory / "preset")
    return run_fnet(
        "encode", EXAMPLE, "-o", "out.parquet", "--padding", "bucket", "--normalize", "--json",
        "--columns", "text,id", "--preset", "f_net_mini_en",
        env={"FNET_PRESET": "./preset"}, cwd=directory,
    )  # fmt: skip


def run_quietly(directory: Path):
    write_preset(directory / "preset")
    (directory / "tokens.jsonl").write_text(LINE)
    (directory / "out.parquet").write_text("old")
    (directory / "home").mkdir()
    return run_fnet(
        "encode", "tokens.jsonl", "-o", "out.parquet", "--padding", "none", "--columns", "",
        "--overwrite", "--quiet",
        env={"FNET_PRESET": "./preset", "HOME": str(directory / "home")}, cwd=directory,
    )  # fmt: skip


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """Return (finished process, its output) of a run with --json and --preset."""
    ran, directory = run_once(tmp_path_factory, "encoded", run_with_everything)
    assert ran.returncode == 0, ran.stderr
    return ran, directory / "out.parquet"


@pytest.fixture(scope="module")
def replaced(tmp_path_factory):
    """Return (finished process, its output) of a run with --quiet, --overwrite and FNET_PRESET."""
    ran, directory = run_once(tmp_path_factory, "replaced", run_quietly)
    return ran, directory / "out.parquet"


def test_the_closing_record_is_the_only_thing_on_standard_output(encoded):
    ran, _ = encoded
    (line,) = ran.stdout.splitlines()
    record = json.loads(line)
    assert record["rows_in"] == record["rows_out"] == 300
    assert record["rows_rejected"] == record["rows_truncated"] == record["tokens_lost"] == 0
    assert record["output"] == "out.parquet"
    assert (record["settings"]["padding"], record["settings"]["normalize"]) == ("bucket", True)
    assert (record["version"], record["backend"]) == (__version__, "tensorflow")
    assert len(record["weights_sha256"]) == 64
    assert record["seconds"] > record["startup_seconds"] > 0
    tokens = pq.read_table(EXAMPLE)["token_ids"]
    assert record["tokens"] == len(tokens.combine_chunks().flatten())


def test_standard_error_says_what_was_done_and_where_it_went(encoded):
    ran, _ = encoded
    closing, how, where = ran.stderr.splitlines()
    assert closing.startswith("fnet: 300 rows in ")
    assert len(closing) <= 80
    assert how == "fnet: 0 truncated, preset f_net_mini_en"
    assert where == "fnet: wrote out.parquet"


def test_the_output_holds_the_chosen_columns_and_the_embedding(encoded):
    table = pq.read_table(encoded[1])
    assert table.schema.names == ["text", "id", "embedding"]
    assert table.schema.field("embedding").type.list_size == 256
    assert table["id"].equals(pq.read_table(EXAMPLE)["id"])


def test_the_preset_option_wins_over_the_environment(encoded):
    assert json.loads(encoded[0].stdout)["preset"] == "f_net_mini_en"


def test_the_environment_names_the_preset(replaced):
    record = json.loads(pq.read_schema(replaced[1]).metadata[b"fnet"])
    assert record["preset"] == "./preset"


def test_quiet_prints_nothing(replaced):
    ran, _ = replaced
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_keras_leaves_nothing_in_the_home(replaced):
    assert not (replaced[1].parent / "home/.keras").exists()


def test_overwrite_replaces_the_output_and_empty_columns_keep_none(replaced):
    table = pq.read_table(replaced[1])
    assert (table.schema.names, table.num_rows) == (["embedding"], 1)
    assert {path.name for path in replaced[1].parent.iterdir()} == {
        "home", "out.parquet", "preset", "tokens.jsonl",
    }  # fmt: skip


def test_a_pipe_carries_json_lines_and_nothing_else():
    ran = run_shell(f"printf '{LINE.strip()}\\n' | fnet encode - -o - --padding none")
    (line,) = ran.stdout.splitlines()
    assert json.loads(line)["id"] == 7
    assert len(json.loads(line)["embedding"]) == 256
    closing, _, where = ran.stderr.splitlines()
    assert closing.startswith("fnet: 1 row in ")
    assert where == "fnet: wrote standard output"


def test_quiet_silences_standard_error_and_not_the_record(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")  # no rows: nothing is loaded
    ran = run_fnet("encode", "empty.jsonl", "-o", "o.parquet", "--quiet", "--json", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    record = json.loads(ran.stdout)
    assert (record["rows_in"], record["rows_out"], record["output"]) == (0, 0, "o.parquet")


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


def test_bad_input_ends_with_3_a_line_a_hint_and_no_file(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"token_ids": [1]}\n{"token_ids": [12000]}\n')
    ran = run_fnet("encode", "bad.jsonl", "-o", "o.parquet", cwd=tmp_path)
    assert ran.returncode == 3
    assert ran.stderr == (
        "fnet: error: bad.jsonl: line 2: column token_ids: id 12000 is not in 0..11999 "
        "(the vocabulary is 12000)\n"
        "fnet: hint: --on-error skip or quarantine goes on without such rows\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jsonl"]


# --- What the preset recommends ---------------------------------------------------------------

RECOMMENDED = {"pooling": "mean", "normalize": True, "sequence_length": 16, "padding": "bucket"}


@pytest.fixture
def recommending(tmp_path) -> Path:
    """A copy of the bundled preset that recommends how it is encoded."""
    from fnet_cli.config import Settings
    from fnet_cli.presets.resolving import resolve_preset

    directory = tmp_path / "preset"
    shutil.copytree(resolve_preset("f_net_mini_en", Settings()).directory, directory)
    (directory / "encode_settings.json").write_text(json.dumps(RECOMMENDED))
    return directory


def test_the_preset_recommends_and_flags_override(recommending, tmp_path):
    encode = ("encode", EXAMPLE, "--preset", recommending, "--limit", "5", "--json")
    plain = run_fnet(*encode, "-o", "plain.parquet", cwd=tmp_path)
    record = json.loads(plain.stdout)
    assert record["settings"].items() >= RECOMMENDED.items()
    metadata = json.loads(pq.read_schema(tmp_path / "plain.parquet").metadata[b"fnet"])
    assert metadata.items() >= RECOMMENDED.items()

    flags = ("--pooling", "cls", "--no-normalize", "--sequence-length", "32", "--padding", "max")
    ran = run_fnet(*encode, *flags, "-o", "flags.parquet", cwd=tmp_path)
    assert json.loads(ran.stdout)["settings"].items() >= {
        "pooling": "cls", "normalize": False, "sequence_length": 32, "padding": "max",
    }.items()  # fmt: skip


def test_a_bad_recommendation_ends_with_4_one_line_and_a_hint(recommending, tmp_path):
    (recommending / "encode_settings.json").write_text('{"pooling": "sum"}')
    ran = run_fnet("encode", EXAMPLE, "-o", "o.parquet", "--preset", "./preset", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (4, "")
    assert ran.stderr == (
        "fnet: error: preset/encode_settings.json: pooling is 'sum', allowed: pooled, cls, mean, "
        "max, tokens\n"
        "fnet: hint: correct the file, or remove it and say it with the flags of encode\n"
    )
    assert not (tmp_path / "o.parquet").exists()


# --- Dry runs -----------------------------------------------------------------------------------


def test_a_dry_run_shows_the_plan_or_one_json_object_and_writes_nothing(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("FNET_PRESET", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    # In this process, so that TensorFlow starts once for both.
    arguments = ["encode", str(EXAMPLE), "-o", "o.parquet", "--dry-run", "--batch-size", "4"]
    assert main(arguments) == 0
    plan = capsys.readouterr()
    facts = dict(line.split(None, 1) for line in plan.out.splitlines())
    assert (facts["rows"], facts["expected_bytes"]) == ("300", "307.2 kB")
    assert facts["output_schema"].startswith("id: string; text: string; embedding: fixed_size_list")
    assert facts["estimated_seconds"].endswith("s")

    assert main([*arguments, "--json"]) == 0
    document = capsys.readouterr()
    (line,) = document.out.splitlines()
    record = json.loads(line)
    assert (record["rows"], record["preset"]) == (300, "f_net_mini_en")
    assert record["free_bytes"] > 0
    assert record["estimated_seconds"] > 0
    assert set(record) == set(facts)
    assert set(record["settings_from"]) == {"pooling", "normalize", "padding", "sequence_length"}
    assert (plan.err, document.err) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_says_where_each_setting_comes_from(recommending, tmp_path, capsys):
    (recommending / "encode_settings.json").write_text('{"pooling": "mean", "padding": "max"}')
    (tmp_path / "empty.jsonl").write_text("")  # no rows: nothing is loaded
    arguments = [
        "encode", str(tmp_path / "empty.jsonl"), "-o", str(tmp_path / "o.parquet"), "--dry-run",
        "--padding", "none", "--preset", str(recommending),
    ]  # fmt: skip
    assert main(arguments) == 0
    facts = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert facts["settings_from"] == (
        "pooling: preset; normalize: default; padding: flag; sequence_length: default"
    )
    assert (facts["pooling"], facts["padding"], facts["sequence_length"]) == ("mean", "none", "512")


def test_a_dry_run_of_standard_input_is_refused():
    ran = run_fnet("encode", "-", "-o", "o.parquet", "--dry-run", stdin=LINE)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "would use up the rows on standard input" in ran.stderr


# --- Bad rows -----------------------------------------------------------------------------------


def test_bad_rows_are_counted_named_and_set_aside(tmp_path):
    lines = ['{"token_ids": [4, 5]}', '{"token_ids": [4, 99999]}', "{", '{"token_ids": [6]}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines) + "\n")
    (tmp_path / "b.parquet").write_bytes(b"no such file")
    arguments = ["encode", "t.jsonl", "b.parquet", "-o", "o.parquet"]
    failed = run_fnet(*arguments, cwd=tmp_path)
    assert (failed.returncode, failed.stdout) == (3, "")
    assert failed.stderr.startswith("fnet: error: t.jsonl: line 3: not valid JSON")
    how = ["--on-error", "quarantine"]
    over = run_fnet(*arguments, *how, "--max-errors", "2", cwd=tmp_path)
    assert over.returncode == 3
    assert "fnet: error: 3 errors in 4 rows, over --max-errors 2\n" in over.stderr
    ran = run_fnet(*arguments, *how, "--json", cwd=tmp_path)
    rejected = tmp_path / "o.parquet.rejected.jsonl"
    assert ran.returncode == 0
    _, counts, *rest = ran.stderr.splitlines()
    assert ", 2 rejected, " in counts
    assert rest == [
        "fnet: 1 file could not be read to the end",
        f"fnet: wrote what was rejected to {rejected}",
        "fnet: wrote o.parquet",
    ]
    record = json.loads(ran.stdout)
    assert (record["rows_in"], record["rows_out"], record["rows_rejected"]) == (4, 2, 2)
    assert (record["files_damaged"], record["rejected"]) == (1, str(rejected))
    rows = [json.loads(line) for line in rejected.read_text().splitlines()]
    assert [(row["file"], row["row"]) for row in rows] == [
        ("t.jsonl", 2),
        ("t.jsonl", 3),
        ("b.parquet", None),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-errors", "3"], "--max-errors is of errors that a job goes on after"),
        (["--on-error", "skip", "--max-errors", "x"], "neither a number nor a share"),
        (["--on-error", "ignore"], "'--on-error'"),
    ],
)
def test_what_is_said_of_errors_must_make_sense(tmp_path, arguments, message):
    (tmp_path / "t.jsonl").write_text('{"token_ids": [4]}\n')
    ran = run_fnet("encode", "t.jsonl", "-o", "o.parquet", *arguments, cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert message in ran.stderr
