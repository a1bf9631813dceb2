"""Options of encode that files of settings pin: they are defaults, and flags win."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from running import run_fnet
from typer.core import TyperCommand
from typer.main import get_command

from fnet_cli.cli.app import app
from fnet_cli.cli.pinning import PINNABLE, pinnable, pinned_options
from fnet_cli.config import Pinned
from fnet_cli.errors import UsageError


def command(name: str) -> TyperCommand:
    return get_command(app).commands[name]


def options(name: str, **values: object) -> dict[str, object]:
    said = {
        key: Pinned(value, Path("f.toml"), f"f.toml: [{name}] {key}")
        for key, value in values.items()
    }
    return {key: value for key, (value, _) in pinned_options(command(name), said).items()}


def test_what_can_be_pinned_is_there_and_nothing_that_writes_or_connects():
    assert set(pinnable(command("encode"))) == {*PINNABLE}
    assert set(pinnable(command("tokenize"))) < {*PINNABLE}
    never = {"output", "overwrite", "resume", "endpoint", "executor", "address", "preset"}
    assert not never & {*PINNABLE}


def test_values_are_taken_as_toml_has_them():
    values = {"pooling": "mean", "normalize": True, "chunk": 8, "columns": ["a", "b"]}
    assert options("encode", **values) == values
    assert options("encode", batch_size=8, max_errors="1%") == {
        "batch_size": "8",
        "max_errors": "1%",
    }


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("poling", "mean", "is no setting | did you mean pooling"),
        ("sequence-length", 8, "is no setting | did you mean sequence_length"),
        ("overwrite", True, "cannot be set in a file, only on the command line"),
        ("preset", "x", "is set at the top of a file, above its tables | write preset = ..."),
        ("endpoint", "x", "write s3_endpoint = ... before [encode]"),
        ("pooling", "avg", 'is \'avg\' | use one of "pooled", "cls"'),
        ("pooling", 3, "is 3 | use one of"),
        ("normalize", "yes", "is a word | use true or false"),
        ("workers", True, "is true or false | use a whole number"),
        ("columns", "a", "is a word | use a list of names"),
        ("columns", [1], "is a number | use a list of names"),
        ("batch_size", 1.5, "is a number | use a word"),
    ],
)
def test_a_mistake_is_named_with_its_file_table_and_key(key, value, said):
    with pytest.raises(UsageError) as caught:
        options("encode", **{key: value})
    assert str(caught.value).startswith(f"f.toml: [encode] {key} ")
    assert said in f"{caught.value} | {caught.value.hint}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "t.txt").write_text("the quick brown fox jumps over the lazy dog\n")
    return tmp_path


def test_a_job_takes_them_and_says_so_and_flags_win(project):
    (project / "fnet.toml").write_text("[tokenize]\nsequence_length = 8\ncolumns = []\n")
    (project / "below").mkdir()
    job = ("tokenize", "../t.txt", "-o", "o.parquet", "--json")
    ran = run_fnet(*job, "--columns", "text", cwd=project / "below")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.splitlines()[0] == "fnet: ../fnet.toml sets sequence_length"
    assert json.loads(ran.stdout)["settings"]["sequence_length"] == 8
    table = pq.read_table(project / "below/o.parquet")
    assert (len(table["token_ids"][0]), "text" in table.column_names) == (8, True)
    assert run_fnet(*job, "--overwrite", "-q", cwd=project / "below").stderr == ""


def test_what_is_of_other_jobs_says_nothing(project):
    (project / "fnet.toml").write_text(
        "[encode]\nworkers = 2\npart_rows = 9\nmax_errors = 1\noverlap = 2\ndevice = 'cpu'\n"
    )
    # Refused before a model is loaded.
    for output, code, others in [("-", 2, []), ("none/o.parquet", 7, ["part_rows", "workers"])]:
        ran = run_fnet("encode", "t.txt", "-o", output, "--json", cwd=project)
        said = ran.stderr.splitlines()[0].removeprefix("fnet: fnet.toml sets ").split(", ")
        assert (ran.returncode, sorted(said)) == (code, sorted(["device", *others]))


def test_a_damaged_file_ends_a_job_and_not_the_help(project):
    (project / "fnet.toml").write_text("[encode]\npooling = 'avg'\n")
    ran = run_fnet("encode", "t.txt", "-o", "o.parquet", cwd=project)
    error, hint = ran.stderr.splitlines()
    assert ran.returncode == 2
    assert error == f"fnet: error: {project}/fnet.toml: [encode] pooling is 'avg'"
    assert hint.startswith("fnet: hint: use one of ")
    assert run_fnet("encode", "--help", cwd=project).returncode == 0
