"""An output in parts has the rows of an output in one, and a job goes on from the parts it has."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from job_cases import CASES, ROWS, Cases, stopped_at
from texts import write_text_preset

from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import MaxErrors, OnError
from fnet_cli.encoding.output.opening import Kept
from fnet_cli.encoding.report import EncodeReport
from fnet_cli.errors import InputDataError, OutputError, StoppedError, UsageError


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture
def encode(preset, sources, tmp_path):
    """Return a function that runs a job of a case, up to so many rows, into a place."""

    cases = Cases(preset, sources)

    def run(case: str, output: str, stop_at: float = float("inf"), **changes) -> EncodeReport:
        options = cases.options(case, f"{tmp_path}/{output}", **changes)
        return encode_files(options, stopped_at(stop_at, run.kept.append))

    run.kept: list[Kept] = []
    return run


def parts(directory: Path) -> list[Path]:
    return sorted(directory.glob("part-*"))


def numbers(table: pa.Table) -> np.ndarray:
    return table["embedding"].combine_chunks().flatten(recursive=True).to_numpy()


@pytest.mark.parametrize("case", [case for case in CASES if case != "to-jsonl"])
def test_the_parts_of_any_job_have_the_rows_of_one_file(encode, tmp_path, case):
    whole = encode(case, "one.parquet")
    report = encode(case, "many/", part_rows=13)
    table, other = pq.read_table(tmp_path / "many"), pq.read_table(tmp_path / "one.parquet")
    assert table.drop("embedding").equals(other.drop("embedding"))
    assert table.schema.equals(other.schema, check_metadata=True)
    near = table["embedding"].combine_chunks().flatten(recursive=True).to_numpy()
    assert near == pytest.approx(
        other["embedding"].combine_chunks().flatten(recursive=True).to_numpy(), abs=1e-5
    )
    same = ("rows_in", "rows_out", "rows_rejected", "documents", "tokens", "tokens_lost")
    assert [getattr(report, name) for name in same] == [getattr(whole, name) for name in same]


def test_parts_are_json_lines_where_they_are_asked_for(encode, tmp_path):
    from fnet_cli.encoding.options import OutputFormat

    encode("jsonl", "many/", part_rows=25, format=OutputFormat.JSONL)
    assert [path.name for path in parts(tmp_path / "many")] == [
        f"part-0000{number}.jsonl" for number in range(3)
    ]
    lines = [line for path in parts(tmp_path / "many") for line in path.read_text().splitlines()]
    assert [json.loads(line)["id"] for line in lines] == list(range(ROWS))


def test_the_end_is_marked_for_programs_that_wait_for_it(encode, tmp_path):
    encode("jsonl", "many/", part_rows=25)
    assert sorted(path.name for path in (tmp_path / "many").iterdir()) == [
        "_SUCCESS", "_fnet", "part-00000.parquet", "part-00001.parquet", "part-00002.parquet",
    ]  # fmt: skip


@pytest.mark.parametrize("stop_at", [1, 20, 45])
def test_a_job_goes_on_from_the_parts_that_it_has(encode, tmp_path, stop_at, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.plan.MAX_WINDOW_ROWS", 3)
    encode("jsonl", "whole/", part_rows=20)
    with pytest.raises(StoppedError):
        encode("jsonl", "many/", stop_at, part_rows=20)
    (kept,) = encode.kept
    assert stop_at <= kept.rows < ROWS
    assert kept.directory == str(tmp_path / "many")
    assert not (tmp_path / "many/_SUCCESS").exists()
    report = encode("jsonl", "many/", part_rows=20, resume=True)
    assert (report.rows_out, report.rows_resumed) == (ROWS, kept.rows)
    assert pq.read_table(tmp_path / "many").equals(pq.read_table(tmp_path / "whole"))


def test_a_complete_job_that_is_gone_on_with_is_left_as_it_is(encode, tmp_path):
    encode("jsonl", "many/", part_rows=20)
    before = {path: path.stat().st_mtime_ns for path in parts(tmp_path / "many")}
    report = encode("jsonl", "many/", part_rows=20, resume=True)
    assert (report.rows_out, report.rows_resumed) == (ROWS, ROWS)
    assert {path: path.stat().st_mtime_ns for path in parts(tmp_path / "many")} == before


@pytest.mark.parametrize("damage", ["missing", "shorter", "unrecorded"])
def test_a_part_that_is_not_as_it_was_written_is_made_again(encode, tmp_path, damage):
    encode("jsonl", "many/", part_rows=20)
    whole = pq.read_table(tmp_path / "many")
    part = parts(tmp_path / "many")[1]
    if damage == "missing":
        part.unlink()
    elif damage == "shorter":
        part.write_bytes(part.read_bytes()[:-9])
    else:
        (tmp_path / "many/_fnet/part-00001.json").write_text("{")
    report = encode("jsonl", "many/", part_rows=20, resume=True)
    assert report.rows_resumed == 40
    assert pq.read_table(tmp_path / "many").equals(whole)


def test_another_job_in_the_directory_is_named_and_left(encode, tmp_path):
    encode("jsonl", "many/", part_rows=20)
    with pytest.raises(OutputError, match="many exists"):
        encode("jsonl", "many/", part_rows=20)
    with pytest.raises(OutputError, match="part rows was 20, and is 30"):
        encode("jsonl", "many/", part_rows=30, resume=True)
    with pytest.raises(OutputError, match="has another job"):
        encode("parquet", "many/", part_rows=20, resume=True)
    assert len(parts(tmp_path / "many")) == 3


def test_overwriting_leaves_nothing_of_the_job_before(encode, tmp_path):
    encode("jsonl", "many/", part_rows=7)
    encode("several", "many/", part_rows=60, overwrite=True)
    assert len(parts(tmp_path / "many")) == 3
    assert pq.read_table(tmp_path / "many").num_rows == 3 * ROWS


def test_a_directory_with_other_files_is_refused(encode, tmp_path):
    (tmp_path / "many").mkdir()
    (tmp_path / "many/part-00000.parquet").write_bytes(b"of someone else")
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"holds part-00000.parquet, which is of no job"):
            encode("parquet", "many/", overwrite=overwrite)
    assert [path.name for path in (tmp_path / "many").iterdir()] == ["part-00000.parquet"]


def test_an_error_before_the_first_row_leaves_no_directory(encode, tmp_path):
    bad = tmp_path / "bad.parquet"
    pq.write_table(pa.table({"token_ids": [[5], [999]]}), bad)
    with pytest.raises(InputDataError, match="row 1"):
        encode("parquet", "many/", inputs=(str(bad),))
    assert [path.name for path in tmp_path.iterdir()] == ["bad.parquet"]
    assert encode.kept == []


def test_rejected_rows_of_all_parts_are_in_one_file_in_order(encode, tmp_path):
    bad = tmp_path / "bad.parquet"
    ids = [[999] if row % 10 == 3 else [5, 6] for row in range(40)]
    pq.write_table(pa.table({"token_ids": ids}), bad)
    how = {"inputs": (str(bad),), "on_error": OnError.QUARANTINE, "part_rows": 15}
    report = encode("parquet", "many/", **how)
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (40, 36, 4)
    assert report.rejected == str(tmp_path / "many.rejected.jsonl")
    lines = [json.loads(line) for line in Path(report.rejected).read_text().splitlines()]
    assert [line["row"] for line in lines] == [3, 13, 23, 33]


def test_errors_of_all_parts_count_against_their_limit(encode, tmp_path):
    bad = tmp_path / "bad.parquet"
    pq.write_table(
        pa.table({"token_ids": [[999] if row % 10 == 3 else [5] for row in range(40)]}), bad
    )
    how = {"inputs": (str(bad),), "on_error": OnError.SKIP, "part_rows": 10}
    with pytest.raises(InputDataError, match="3 errors"):
        encode("parquet", "many/", max_errors=MaxErrors(count=2), **how)
    report = encode("parquet", "many/", max_errors=MaxErrors(count=4), resume=True, **how)
    assert report.rows_rejected == 4


def test_a_file_that_is_damaged_is_counted_once_however_many_parts_it_has(encode, tmp_path):
    import gzip

    bad = tmp_path / "bad.jsonl.gz"
    content = gzip.compress(b'{"token_ids": [5]}\n' * 40_000)
    bad.write_bytes(content[: len(content) - 20])
    how = {"inputs": (str(bad),), "on_error": OnError.SKIP}
    whole = encode("parquet", "one.parquet", **how)
    report = encode("parquet", "many/", part_rows=9_000, **how)
    assert (report.files_damaged, report.rows_out) == (1, whole.rows_out)


def test_an_input_in_the_output_is_refused(encode, tmp_path):
    encode("parquet", "many/")
    part = str(tmp_path / "many/part-00000.parquet")
    with pytest.raises(UsageError, match="is the output, and has the input"):
        encode("parquet", "many/", inputs=(part,), overwrite=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": ("-",)}, "standard input is not encoded in parts"),
        ({"part_rows": 0}, "--part-rows must be at least 1"),
        ({"workers": 0}, "--workers must be at least 1"),
    ],
)
def test_what_has_no_parts_is_refused(encode, changes, message):
    with pytest.raises(UsageError, match=message):
        encode("parquet", "many/", **changes)


def test_the_size_of_parts_needs_parts(encode):
    with pytest.raises(UsageError, match="is of an output in parts"):
        encode("parquet", "one.parquet", part_rows=5)
