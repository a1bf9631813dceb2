"""Rows and files that cannot be used: left out, named and counted, and the rest is as it was."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jobs import run
from texts import write_text_preset

from fnet_cli.encoding.options import MaxErrors, OnError, OnNull, Padding, TextOptions, Truncate
from fnet_cli.errors import InputDataError, OutputError, UsageError

QUARANTINE = {"on_error": OnError.QUARANTINE, "batch_size": 4, "sequence_length": 16}
SKIP = {**QUARANTINE, "on_error": OnError.SKIP}
# What a row of ids may be instead of a list of good ones, and what is said of it.
BAD_IDS = {
    "null": (None, "column token_ids: the list is null"),
    "empty": ([], "column token_ids: the list is empty"),
    "with a null": ([1, None, 2], "column token_ids: the list holds a null"),
    "too large": ([1, 60], "column token_ids: id 60 is not in 0..59 (the vocabulary is 60)"),
    "negative": ([-1, 99], "column token_ids: id -1 is not in 0..59 (the vocabulary is 60)"),
}
# The same of a line.
BAD_LINES = {
    b'{"id": 1, "token_ids": [1, 2}': "not valid JSON: unexpected character",
    b"[1, 2]": "not a JSON object",
    b'{"id": "\xff"}': "not valid UTF-8: byte 9 of the line is 0xff",
    b'{"id": "x", "token_ids": [1]}': "column id: 'x' is not of type int64",
    b'{"id": 4, "token_ids": "no"}': "column token_ids: 'no' is not of type list",
    b'{"id": 4}': "column token_ids: the list is null",
}


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.plan.MAX_WINDOW_ROWS", 7)


def write_rows(path: Path, rows: list) -> Path:
    table = pa.table({"id": list(range(len(rows))), "token_ids": pa.array(rows)})
    pq.write_table(table, path, row_group_size=10)
    return path


def good_rows(count: int = 30) -> list[list[int]]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, 60, rng.integers(1, 14)).tolist() for _ in range(count)]


def rejected(output: Path) -> list[dict]:
    path = output.with_name(f"{output.name}.rejected.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


# --- Rows -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BAD_IDS)
def test_a_bad_row_is_written_with_its_place_its_reason_and_itself(preset, tmp_path, kind):
    bad, reason = BAD_IDS[kind]
    rows = good_rows()
    rows[12] = bad
    source, output = write_rows(tmp_path / "in.parquet", rows), tmp_path / "out.parquet"
    report, table = run(preset, source, output, **QUARANTINE)
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (30, 29, 1)
    assert report.rejected == f"{output}.rejected.jsonl"
    assert table["id"].to_pylist() == [row for row in range(30) if row != 12]
    assert rejected(output) == [
        {
            "file": str(source),
            "row": 12,
            "unit": "row",
            "rows": 1,
            "reason": reason,
            "data": {"id": 12, "token_ids": bad},
        }
    ]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.integers(0, 29), st.sampled_from(list(BAD_IDS)), max_size=30))
def test_the_good_rows_are_those_of_a_job_without_the_bad_ones(preset, tmp_path_factory, bad):
    directory = tmp_path_factory.mktemp("run")
    rows = good_rows()
    kept = [row for index, row in enumerate(rows) if index not in bad]
    for index, kind in bad.items():
        rows[index] = BAD_IDS[kind][0]
    output = directory / "out.parquet"
    source = write_rows(directory / "in.parquet", rows)
    report, table = run(preset, source, output, padding=Padding.MAX, **QUARANTINE)
    assert report.rows_rejected == len(bad) == len(rejected(output))
    assert [row["row"] for row in rejected(output)] == sorted(bad)
    assert [row["reason"] for row in rejected(output)] == [
        BAD_IDS[bad[index]][1] for index in sorted(bad)
    ]
    if kept:
        whole = write_rows(directory / "kept.parquet", kept)
        _, other = run(preset, whole, directory / "kept-out.parquet", padding=Padding.MAX, **SKIP)
        made, wanted = (
            np.array(found["embedding"].to_pylist(), np.float32) for found in (table, other)
        )
        assert np.allclose(made, wanted, atol=1e-6)


def test_skip_counts_and_writes_no_file(preset, tmp_path):
    source = write_rows(tmp_path / "in.parquet", [[1], None, [2]])
    report, _ = run(preset, source, tmp_path / "out.parquet", **SKIP)
    assert (report.rows_rejected, report.rejected) == (1, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_where_nothing_is_bad_no_file_is_written(preset, tmp_path):
    source = write_rows(tmp_path / "in.parquet", good_rows())
    report, _ = run(preset, source, tmp_path / "out.parquet", **QUARANTINE)
    assert (report.rows_rejected, report.rejected) == (0, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.parquet", "out.parquet"]


def test_rows_that_are_too_long_are_rejected_where_they_may_not_be_cut(preset, tmp_path):
    source = write_rows(tmp_path / "in.parquet", [[1], [2] * 17, [3]])
    how = {**QUARANTINE, "truncate": Truncate.ERROR}
    run(preset, source, tmp_path / "out.parquet", **how)
    (row,) = rejected(tmp_path / "out.parquet")
    assert row["reason"] == "column token_ids: 17 tokens, over the sequence length of 16"


def test_segments_that_do_not_match_are_rejected(preset, tmp_path):
    table = pa.table({"token_ids": [[1, 2], [3, 4]], "segment_ids": [[0, 0], [0]]})
    pq.write_table(table, tmp_path / "in.parquet")
    run(preset, tmp_path / "in.parquet", tmp_path / "out.parquet", **QUARANTINE)
    (row,) = rejected(tmp_path / "out.parquet")
    assert row["reason"] == "token_ids has 2 ids, segment_ids has 1"


# --- Lines ------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", BAD_LINES)
@pytest.mark.parametrize("from_stdin", [False, True], ids=["file", "stdin"])
def test_a_bad_line_is_rejected_alone(preset, tmp_path, line, from_stdin):
    lines = [b'{"id": %d, "token_ids": [%d]}' % (row, row) for row in range(20)]
    lines[9] = line
    text = b"\n\n".join(lines)
    output = tmp_path / "out.jsonl"
    source, stdin = tmp_path / "in.jsonl", io.BytesIO(text if from_stdin else b"")
    source.write_bytes(text)
    name = "-" if from_stdin else source
    context = {"stdin": stdin, **QUARANTINE}
    report, _ = _run_jsonl(preset, name, output, **context)
    ids = [json.loads(row)["id"] for row in output.read_text().splitlines()]
    assert ids == [row for row in range(20) if row != 9]
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (20, 19, 1)
    (row,) = rejected(output)
    assert (row["row"], row["unit"]) == (19, "line")
    assert row["reason"].startswith(BAD_LINES[line])


def _run_jsonl(preset, source, output, **options):
    from fnet_cli.config import Settings
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.job import encode_files
    from fnet_cli.encoding.options import EncodeOptions

    context = JobContext(settings=Settings(), stdin=options.pop("stdin"))
    made = EncodeOptions((str(source),), str(output), preset=str(preset), **options)
    return encode_files(made, context), None


@pytest.mark.parametrize(
    ("name", "content", "numbers", "reasons"),
    [
        ("in.txt", b"fox\nd\xffg\n\ndog", [2], ["not valid UTF-8: byte 2 of the line is 0xff"]),
        (
            "in.csv",
            b'text,b\nfox,1\ndog\n"a\nb",2\nl\xe9zy,3\nfox,4,5\nend,6\n',
            [3, 6, 7],
            [
                "the number of fields is 1, in the header it is 2",
                "not valid UTF-8: byte 2 of the line is 0xe9",
                "the number of fields is 3, in the header it is 2",
            ],
        ),
    ],
)
def test_lines_of_text_that_are_none_are_rejected_alone(
    preset, tmp_path, name, content, numbers, reasons
):
    (tmp_path / name).write_bytes(content)
    output = tmp_path / "out.parquet"
    how = {**QUARANTINE, "text": TextOptions()}
    report, table = run(preset, tmp_path / name, output, **how)
    found = rejected(output)
    assert [row["row"] for row in found] == numbers
    assert [row["reason"] for row in found] == reasons
    assert report.rows_in == report.rows_out + len(numbers)
    texts = table["text"].to_pylist()
    assert texts == (["fox", "", "dog"] if name == "in.txt" else ["fox", "a\nb", "end"])


@pytest.mark.parametrize("options", [TextOptions(), TextOptions(chunk=2, overlap=1)])
def test_a_text_that_is_null_is_rejected_and_one_that_may_be_skipped_is_not_written(
    preset, tmp_path, options
):
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    pq.write_table(pa.table({"text": ["the fox", None, "dog dog dog"], "n": [0, 1, 2]}), source)
    report, table = run(preset, source, output, text=options, **QUARANTINE)
    (row,) = rejected(output)
    assert (row["row"], row["reason"], row["data"]["n"]) == (1, "column text is null", 1)
    assert set(table["n"].to_pylist()) == {0, 2}
    assert report.documents == 3
    skipping = TextOptions(chunk=options.chunk, overlap=options.overlap, on_null=OnNull.SKIP)
    report, _ = run(preset, source, output, text=skipping, overwrite=True, **QUARANTINE)
    assert report.rows_rejected == 1
    assert rejected(output) == []


# --- Files ------------------------------------------------------------------------------------


def damage_row_group(path: Path, group: int) -> None:
    """Spoil a page's bytes in a row group."""
    column = pq.read_metadata(path).row_group(group).column(1)
    data = bytearray(path.read_bytes())
    at = column.data_page_offset + column.total_compressed_size - 4
    data[at : at + 3] = b"\xff\xff\xff"
    path.write_bytes(data)


def test_a_damaged_row_group_is_rejected_and_the_others_are_not(preset, tmp_path):
    source, output = tmp_path / "in.parquet", tmp_path / "out.parquet"
    table = pa.table({"id": list(range(30)), "token_ids": good_rows()})
    how = {"use_dictionary": False, "write_page_checksum": True}
    pq.write_table(table, source, row_group_size=10, **how)
    damage_row_group(source, 1)
    with pytest.raises(InputDataError):
        run(preset, source, tmp_path / "other.parquet")
    report, made = run(preset, source, output, **QUARANTINE)
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (30, 20, 10)
    assert made["id"].to_pylist() == [*range(10), *range(20, 30)]
    assert sum(row["rows"] for row in rejected(output)) == 10
    assert rejected(output)[0]["row"] == 10
    assert all(row["reason"].startswith("row group 1 is damaged: ") for row in rejected(output))


@pytest.mark.parametrize("name", ["bad.parquet", "bad.jsonl.gz", "bad.csv"])
def test_a_file_that_cannot_be_read_is_one_error_and_the_others_are_encoded(preset, tmp_path, name):
    good = write_rows(tmp_path / "good.parquet", good_rows())
    bad = tmp_path / name
    bad.write_bytes(b"" if name == "bad.csv" else b"PAR1 this is no such file")
    output = tmp_path / "out.parquet"
    report, table = run(preset, [bad, good, bad], output, **QUARANTINE)
    assert (report.rows_in, report.rows_out, report.files_damaged) == (30, 30, 2)
    assert len(table) == 30
    row, again = rejected(output)
    assert row == again
    assert (row["file"], row["row"], row["rows"]) == (str(bad), None, 0)
    assert str(bad) in row["reason"]


def test_a_file_that_ends_early_gives_the_rows_before(preset, tmp_path, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.readers.lines.LINE_BLOCK_BYTES", 2**16)
    lines = [b'{"id": %d, "token_ids": [%d]}\n' % (row, row % 60) for row in range(40_000)]
    whole = gzip.compress(b"".join(lines))
    (tmp_path / "cut.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    output = tmp_path / "out.parquet"
    how = {**QUARANTINE, "batch_size": 4096, "padding": Padding.NONE, "columns": ("id",)}
    report, table = run(preset, tmp_path / "cut.jsonl.gz", output, **how)
    assert 0 < report.rows_out == report.rows_in < 40_000
    assert report.files_damaged == 1
    assert table["id"].to_pylist() == list(range(report.rows_out))
    assert rejected(output)[-1]["rows"] == 0


def test_where_no_file_can_be_read_the_job_fails(preset, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(InputDataError, match=r"bad\.parquet: not a complete Parquet file"):
        run(preset, tmp_path / "bad.parquet", tmp_path / "out.parquet", **SKIP)


def test_a_file_that_is_not_there_is_a_mistake(preset, tmp_path):
    good = write_rows(tmp_path / "good.parquet", good_rows())
    with pytest.raises(InputDataError, match="no such file"):
        run(preset, [good, tmp_path / "none.parquet"], tmp_path / "out.parquet", **SKIP)


# --- How many ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limit", "passes"), [("3", True), ("2", False), ("0", False), ("10%", True), ("9.9%", False)]
)
def test_more_errors_than_allowed_end_the_job(preset, tmp_path, limit, passes):
    rows = good_rows()
    rows[3] = rows[9] = rows[29] = None
    source, output = write_rows(tmp_path / "in.parquet", rows), tmp_path / "out.parquet"
    how = {**QUARANTINE, "max_errors": MaxErrors.parse(limit)}
    if passes:
        assert run(preset, source, output, **how)[0].rows_rejected == 3
        return
    with pytest.raises(InputDataError, match="over --max-errors"):
        run(preset, source, output, **how)
    assert not output.exists()
    report, _ = run(preset, source, output, resume=True, **QUARANTINE)
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (30, 27, 3)
    assert [row["row"] for row in rejected(output)] == [3, 9, 29]


@pytest.mark.parametrize("text", ["", "x", "-1", "1.5", "101%", "%", "1e3", "nan%", " 1"])
def test_a_limit_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="neither a number nor a share"):
        MaxErrors.parse(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_errors": MaxErrors(3)}, "--max-errors is of errors that a job goes on after"),
        ({"on_error": OnError.QUARANTINE, "output": "-"}, "writes a file beside the output"),
    ],
)
def test_what_has_no_place_is_refused(preset, tmp_path, options, message):
    source = write_rows(tmp_path / "in.parquet", good_rows())
    output = options.pop("output", tmp_path / "out.parquet")
    with pytest.raises(UsageError, match=message):
        run(preset, source, output, **options)


def test_a_file_of_rejected_rows_is_not_written_over(preset, tmp_path):
    source = write_rows(tmp_path / "in.parquet", [[1], None])
    output = tmp_path / "out.parquet"
    other = Path(f"{output}.rejected.jsonl")
    other.write_text("mine")
    with pytest.raises(OutputError, match="rejected.jsonl exists"):
        run(preset, source, output, **QUARANTINE)
    assert other.read_text() == "mine"
    run(preset, source, output, overwrite=True, **QUARANTINE)
    assert len(rejected(output)) == 1


# --- Going on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_job_that_failed_on_a_bad_row_goes_on_without_it(preset, tmp_path, suffix):
    rows = good_rows()
    rows[20] = None
    source = write_rows(tmp_path / "in.parquet", rows)
    output = tmp_path / f"out.{suffix}"
    how = {"batch_size": 4, "sequence_length": 16}
    with pytest.raises(InputDataError, match="row 20"):
        _run_jsonl(preset, source, output, stdin=None, **how)
    report, _ = _run_jsonl(preset, source, output, stdin=None, resume=True, **QUARANTINE)
    assert report.rows_resumed > 0
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (30, 29, 1)
    assert [row["row"] for row in rejected(output)] == [20]
