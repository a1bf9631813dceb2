"""A file of embeddings is read to its end, and what is in it is told as it is."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jobs import run

from fnet_cli.encoding.options import OutputDtype, Pooling
from fnet_cli.encoding.verifying import verify_output, verify_outputs
from fnet_cli.errors import InputDataError, StoppedError, UsageError

VECTOR = pa.list_(pa.float32(), 4)


def write(path: Path, vectors: list, kind: pa.DataType = VECTOR, **metadata) -> str:
    schema = pa.schema([("id", pa.int64()), ("embedding", kind)], {"fnet": json.dumps(metadata)})
    table = pa.table([list(range(len(vectors))), pa.array(vectors, kind)], schema=schema)
    pq.write_table(table, path, row_group_size=3, use_dictionary=False, write_page_checksum=True)
    return str(path)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize("pooling", list(Pooling))
@pytest.mark.parametrize("dtype", list(OutputDtype))
def test_what_encode_writes_has_no_fault(preset, tokens, tmp_path, suffix, pooling, dtype):
    output = tmp_path / f"out.{suffix}"
    how = {"pooling": pooling, "output_dtype": dtype, "normalize": True, "columns": ("id",)}
    if suffix == "parquet":
        report, _ = run(preset, tokens, output, **how)
    else:
        from fnet_cli.config import Settings
        from fnet_cli.encoding.context import JobContext
        from fnet_cli.encoding.job import encode_files
        from fnet_cli.encoding.options import EncodeOptions

        options = EncodeOptions((str(tokens),), str(output), str(preset), pad_id=3, **how)
        report = encode_files(options, JobContext(settings=Settings()))
    check = verify_output(str(output))
    assert check.faults == ()
    assert (check.rows, check.dimension, check.null_vectors) == (report.rows_out, 32, 0)
    assert (check.rows_read, check.all_length_1) == (report.rows_out, True)
    assert check.vectors == (report.tokens if pooling is Pooling.TOKENS else report.rows_out)
    assert check.smallest_length == pytest.approx(1, abs=5e-3)
    assert list(check.columns) == ["id", "embedding"]
    if suffix == "parquet":
        assert check.metadata["pooling"] == pooling.value
        assert check.number_type == dtype.value
        assert check.row_groups == pq.read_metadata(output).num_row_groups


def test_a_vector_that_is_null_is_a_fault_and_one_of_zeros_is_not(tmp_path):
    rows = [[1, 0, 0, 0], [0, 0, 0, 0], None, [0, 1, 0, 0], None]
    check = verify_output(write(tmp_path / "x.parquet", rows))
    assert (check.zero_vectors, check.first_zero_row) == (1, 1)
    assert (check.null_vectors, check.first_null_row) == (2, 2)
    assert check.faults == ("2 vectors are null or have a null in them: the first in row 2",)


def test_the_row_of_a_bad_token_is_named(tmp_path):
    rows = [[[1, 0, 0, 0]] * 3, [], [[0, 1, 0, 0], [0, np.nan, 0, 0]]]
    check = verify_output(write(tmp_path / "x.parquet", rows, pa.list_(VECTOR)))
    assert (check.vectors, check.non_finite_vectors, check.first_non_finite_row) == (5, 1, 2)
    assert check.faults == ("1 vector has a NaN or infinite number: row 2",)


@pytest.mark.parametrize(
    ("length", "dtype", "faulty"),
    [(1.0, "float32", False), (1.001, "float32", True), (1.001, "float16", False),
     (0.9, "float16", True), (0.0, "float32", False)],
)  # fmt: skip
def test_vectors_that_are_said_to_have_length_1_have_it(tmp_path, length, dtype, faulty):
    number = pa.float16() if dtype == "float16" else pa.float32()
    rows = [[1, 0, 0, 0], *[np.array([length, 0, 0, 0], dtype)] * 4]
    how = {"normalize": True, "output_dtype": dtype}
    check = verify_output(write(tmp_path / "x.parquet", rows, pa.list_(number, 4), **how))
    assert check.all_length_1 is not faulty
    assert check.first_other_length_row == (1 if faulty else None)
    wanted = "4 vectors are not of length 1, as its metadata says: the first in row 1"
    assert check.faults == ((wanted,) if faulty else ())
    del how["normalize"]
    assert not verify_output(write(tmp_path / "x.parquet", rows, pa.list_(number, 4), **how)).faults


@pytest.mark.parametrize(
    ("stated", "fault"),
    [
        ({"pooling": "tokens"}, "its metadata says pooling tokens, and it has a vector a row"),
        ({"output_dtype": "float16"}, "its metadata says float16, and its numbers are float32"),
        ({"pooling": "cls", "output_dtype": "float32"}, None),
        ({"pooling": ["cls"], "output_dtype": {"x": 1}, "normalize": "yes"}, None),
    ],
)
def test_what_the_metadata_says_must_be_so(tmp_path, stated, fault):
    check = verify_output(write(tmp_path / "x.parquet", [[3, 4, 0, 0]], **stated))
    assert check.faults == ((fault,) if fault else ())
    assert check.metadata == stated


@pytest.mark.parametrize(
    "text", [b"{", b"\xff", b"[1]", b"[" * 2000, b'{"a":' * 500 + b"1" + b"}" * 500]
)
def test_metadata_that_is_none_is_a_fault(tmp_path, text):
    schema = pa.schema([("embedding", VECTOR)], {"fnet": text})
    pq.write_table(pa.table([pa.array([[1, 0, 0, 0]], VECTOR)], schema), tmp_path / "x.parquet")
    check = verify_output(str(tmp_path / "x.parquet"))
    assert check.faults == ("its metadata, key fnet, is no JSON object",)


def test_metadata_is_of_the_embeddings_and_not_of_another_column(tmp_path):
    kind = pa.list_(pa.float64(), 2)
    columns = {"embedding": pa.array([[1, 0]], kind), "other": pa.array([[3, 4]], kind)}
    stated = {"fnet": json.dumps({"normalize": True, "pooling": "mean"})}
    table = pa.table(columns).replace_schema_metadata(stated)
    path = str(tmp_path / "x.parquet")
    pq.write_table(table, path)
    check = verify_output(path, "other")
    assert (check.largest_length, check.faults) == (5, ())
    pq.write_table(table.select(["other"]), path)  # renamed: then it is of this one
    assert "not of length 1" in verify_output(path, "other").faults[0]


@pytest.mark.parametrize(
    ("kind", "rows", "fault"),
    [
        (
            pa.list_(pa.float32()),
            [[1.0], [], [1.0, 2.0]],
            "2 vectors are not of dimension 1: the first in row 1",
        ),
        (pa.list_(pa.float32()), [[], []], "2 vectors are without numbers: the first in row 0"),
        (pa.list_(pa.int32()), [[1]], "its vectors are list"),
        (pa.string(), ["x"], "its vectors are string"),
        (pa.list_(pa.float32()), [[1.0], [None]], "1 vector is null or has a null in it: row 1"),
        (pa.list_(VECTOR), [[], [None]], "1 vector is null or has a null in it: row 1"),
    ],
)
def test_what_are_no_vectors_is_said(tmp_path, kind, rows, fault):
    (found,) = verify_output(write(tmp_path / "x.parquet", rows, kind)).faults
    assert found.startswith(fault)


def test_a_file_of_something_else_has_no_embeddings(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    assert verify_output(str(tmp_path / "x.parquet")).faults == ("there is no column embedding",)
    check = verify_output(write(tmp_path / "y.parquet", [[1, 0, 0, 0]]), "other")
    assert check.faults == ("there is no column other",)


def test_a_file_without_rows_is_whole(tmp_path):
    check = verify_output(write(tmp_path / "x.parquet", []))
    assert (check.rows, check.vectors, check.smallest_length, check.faults) == (0, 0, None, ())
    (tmp_path / "x.jsonl").touch()
    assert verify_output(str(tmp_path / "x.jsonl")).faults == ()


def flipped(path: Path, column: int, group: int = 1) -> None:
    """Flip a byte of a page."""
    chunk = pq.read_metadata(path).row_group(group).column(column)
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size - 3] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize("column", [0, 1])
def test_a_damaged_page_of_any_column_is_a_fault_and_the_rest_is_looked_at(tmp_path, column):
    path = tmp_path / "x.parquet"
    rows = np.eye(4)[[0] * 9].tolist()
    rows[8][0] = np.nan
    write(path, rows)
    flipped(path, column)
    check = verify_output(str(path))
    damage, bad = check.faults
    assert damage.startswith("3 rows cannot be read, the first is row 3: row group 1 is damaged")
    assert "checksum" in damage
    assert bad == "1 vector has a NaN or infinite number: row 8"
    assert (check.rows, check.rows_read, check.vectors) == (9, 6, 6)
    assert (check.unreadable_rows, check.first_unreadable_row, check.row_groups) == (3, 3, 3)


@pytest.mark.parametrize("cut", [slice(0, -10), slice(0, 40), slice(0, 0), slice(-12, None)])
def test_a_file_that_is_cut_off_is_a_fault(tmp_path, cut):
    path = tmp_path / "x.parquet"
    write(path, [[1, 0, 0, 0]] * 9)
    path.write_bytes(path.read_bytes()[cut])
    (fault,) = verify_output(str(path)).faults
    assert fault.startswith("not a complete Parquet file")


@settings(max_examples=60, deadline=None)
@given(at=st.integers(1, 900), byte=st.integers(0, 255))
def test_a_damaged_footer_is_no_surprise(tmp_path_factory, at, byte):
    path = tmp_path_factory.getbasetemp() / "footer.parquet"
    write(path, [[1, 0, 0, 0]] * 9)
    data = bytearray(path.read_bytes())
    data[-at] = byte
    path.write_bytes(data)
    assert isinstance(verify_output(str(path)).faults, tuple)  # and nothing is raised


def test_a_column_that_stands_twice_was_not_read(tmp_path):
    arrays = [pa.array([[1, 0, 0, 0]], VECTOR), pa.array([1]), pa.array([2])]
    path = str(tmp_path / "x.parquet")
    pq.write_table(pa.table(arrays, ["embedding", "a", "a"]), path)
    assert verify_output(path).faults == ("column a stands 2 times, and was not read",)
    assert verify_output(path, "a").faults == ("column a stands 2 times",)


def test_lines_that_are_bad_are_counted_and_the_rest_is_looked_at(tmp_path):
    good, path = '{"embedding": [1.5, 2.0]}', tmp_path / "x.jsonl"
    path.write_text(f'{good}\n{{"embedding": [1.0\n{good}\n[]\n{{"embedding": [NaN, 1.0]}}\n')
    check = verify_output(str(path))
    (fault,) = check.faults
    assert fault.startswith("3 lines cannot be read, the first is line 2: not valid JSON")
    assert (check.rows, check.rows_read, check.vectors) == (5, 2, 2)
    path.write_text(f'{good}\n{{"a": 1}}\n{{"embedding": [1.0, null]}}\n{{"embedding": [1.0]}}\n')
    assert verify_output(str(path)).faults == (
        "2 vectors are null or have a null in them: the first in line 2",
        "1 vector is not of dimension 2: line 4",
    )


def test_a_job_that_has_not_ended_is_told(preset, tokens, tmp_path):
    from fnet_cli.config import Settings
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.job import encode_files
    from fnet_cli.encoding.options import EncodeOptions

    output = str(tmp_path / "out.parquet")
    options = EncodeOptions((str(tokens),) * 3, output, str(preset), pad_id=3, columns=("id",))
    stopping = JobContext(settings=Settings(), is_stopping=lambda: True)
    with pytest.raises(StoppedError):
        encode_files(options, stopping)
    check = verify_output(output)
    assert (check.unfinished_job, check.unfinished_rows, check.rows) == (True, 70, None)
    assert check.faults == ("the job has not ended: 70 rows are kept, and --resume goes on",)
    write(tmp_path / "out.parquet", [[1, 0, 0, 0]])  # of an earlier job
    (tmp_path / "link.parquet").symlink_to(output)
    for name in (output, str(tmp_path / "link.parquet")):
        check = verify_output(name)
        assert (check.unfinished_rows, check.rows, check.faults) == (70, 1, ())


def left_by_a_job(tmp_path: Path, document: str) -> str:
    directory = tmp_path / "x.parquet.fnet"
    directory.mkdir()
    for name, text in {"job.json": document, "data": "", "rejected.jsonl": ""}.items():
        (directory / name).write_text(text)
    return str(tmp_path / "x.parquet")


def test_a_job_of_another_version_is_told_and_hides_no_file(tmp_path):
    path = left_by_a_job(tmp_path, '{"format": 99}')
    check = verify_output(path)
    assert check.faults == ("the job has not ended: it is of another version of fnet",)
    write(tmp_path / "x.parquet", [[1, 0, 0, 0]])
    check = verify_output(path)
    assert (check.unfinished_job, check.unfinished_rows, check.faults) == (True, None, ())


def test_what_a_job_left_that_cannot_be_gone_on_with_is_hinted_at(tmp_path):
    with pytest.raises(InputDataError, match="no such file") as caught:
        verify_output(left_by_a_job(tmp_path, "{"))
    assert caught.value.hint == "x.parquet.fnet is there, but nothing in it to go on with"


def test_what_is_not_there_or_no_output_is_a_mistake(tmp_path):
    with pytest.raises(InputDataError, match="no such file"):
        verify_output(str(tmp_path / "x.parquet"))
    (tmp_path / "x.csv").touch()
    with pytest.raises(UsageError, match="the suffix is none of an output"):
        verify_output(str(tmp_path / "x.csv"))


def test_what_cannot_be_opened_is_a_mistake_and_no_fault(tmp_path, monkeypatch):
    (tmp_path / "d.parquet").mkdir()
    (tmp_path / "x.parquet.fnet").mkdir()
    os.mkfifo(tmp_path / "p.parquet")  # must not wait for a writer
    (tmp_path / "l.parquet").symlink_to(tmp_path / "l.parquet")
    (tmp_path / "f.parquet.fnet").touch()
    wanted = {
        "d.parquet": "there is no Parquet or JSON lines file in it",
        "x.parquet.fnet": r"here works a job that has not ended",
        "none/": "no such directory",
        "d.parquet/f.parquet/": "no such directory",
        "p.parquet": "is not a regular file",
        "l.parquet": "Too many levels",
        "f.parquet": "no such file",
        "x" * 300 + ".parquet": "File name too long",
    }
    for name, message in wanted.items():
        with pytest.raises(InputDataError, match=message):
            verify_output(f"{tmp_path}/{name}")
    write(tmp_path / "x.parquet", [[1, 0, 0, 0]])

    whole = Path.open

    def refuse(self, *arguments, **options):
        if self.name == "x.parquet":  # root may read everything
            raise PermissionError(errno.EACCES, "Permission denied")
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputDataError, match=r"x\.parquet: Permission denied"):
        verify_output(str(tmp_path / "x.parquet"))


def test_all_names_are_looked_at_before_a_file_is_read(tmp_path, monkeypatch):
    good = write(tmp_path / "x.parquet", [[1, 0, 0, 0]])
    monkeypatch.setattr("fnet_cli.encoding.examining.open_source", None)  # nobody may call it
    with pytest.raises(InputDataError, match="no such file"):
        verify_outputs([good, str(tmp_path / "none.parquet")])
