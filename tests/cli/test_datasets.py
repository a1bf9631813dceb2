"""Directories, patterns and Arrow files as inputs, as a user gives them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import run_fnet

EXAMPLE = Path(__file__).parents[2] / "docs/examples/sentences.parquet"


@pytest.fixture
def data(tmp_path) -> Path:
    for lang in ("en", "de"):
        (tmp_path / f"data/lang={lang}").mkdir(parents=True)
        shutil.copy(EXAMPLE, tmp_path / f"data/lang={lang}/part.parquet")
    (tmp_path / "data/_SUCCESS").touch()
    return tmp_path


@pytest.mark.parametrize("name", ["data", "data/**/*.parquet", "data/lang=[de]*/*"])
def test_a_directory_or_a_pattern_is_checked_as_its_files(data, name):
    ran = run_fnet("encode", name, "-o", "out.parquet", "--dry-run", "--json", cwd=data)
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert record["inputs"] == [f"data/lang={lang}/part.parquet" for lang in ("de", "en")]
    assert record["output_schema"]["lang"] == "string"


def test_texts_of_a_directory_are_tokenized_with_their_keys(data):
    command = ["tokenize", "data", "--text-column", "text", "--columns", "lang"]
    names = ["--token-column", "new_ids", "--segment-column", "new_segments"]
    ran = run_fnet(*command, *names, "-o", "out.parquet", cwd=data)
    assert ran.returncode == 0, ran.stderr
    rows = pq.read_metadata(EXAMPLE).num_rows
    found = pq.read_table(data / "out.parquet")["lang"].to_pylist()
    assert found == ["de"] * rows + ["en"] * rows


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["none-*.parquet"], 3, "none-*.parquet: there is no file to read"),
        (["data/lang=*"], 3, "data/lang=*: it matches directories only"),
        (["data", "--columns", "nope"], 3, "data/lang=de/part.parquet: there is no column nope"),
        (["data", "--input-format", "arrow"], 3, "part.parquet: not a complete Arrow IPC file"),
    ],
)
def test_what_cannot_be_read_is_one_line(data, arguments, code, said):
    ran = run_fnet("encode", *arguments, "-o", "out.parquet", cwd=data)
    assert (ran.returncode, ran.stdout) == (code, "")
    lines = ran.stderr.splitlines()
    assert lines[0].startswith("fnet: error: ")
    assert said in lines[0]
    assert all(line.startswith("fnet: hint: ") for line in lines[1:])
    assert not (data / "out.parquet").exists()


def test_an_output_in_the_directory_is_refused_the_second_time(data):
    shutil.copy(EXAMPLE, data / "data/out.parquet")
    ran = run_fnet("encode", "data", "-o", "data/out.parquet", "--overwrite", cwd=data)
    assert ran.returncode == 2
    assert ran.stderr.startswith("fnet: error: data/out.parquet is an input and the output\n")
    assert (data / "data/out.parquet").read_bytes() == EXAMPLE.read_bytes()


def test_an_arrow_stream_is_read_and_a_cut_one_is_one_line(tmp_path):
    table = pq.read_table(EXAMPLE)
    path = str(tmp_path / "x.arrow")
    with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=100)
    ran = run_fnet("encode", "x.arrow", "-o", "out.parquet", "--dry-run", "--json", cwd=tmp_path)
    assert json.loads(ran.stdout)["rows"] == table.num_rows
    (tmp_path / "x.arrow").write_bytes((tmp_path / "x.arrow").read_bytes()[:-2000])
    ran = run_fnet("encode", "x.arrow", "-o", "out.parquet", cwd=tmp_path)
    assert ran.returncode == 3
    assert ran.stderr.startswith("fnet: error: x.arrow: not a complete Arrow IPC file: ")
    assert len(ran.stderr.splitlines()) == 2  # the error and its hint
