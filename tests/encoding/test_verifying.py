"""A file of embeddings is read to its end, and what is in it is told as it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jobs import run

from fnet_cli.encoding.options import OutputDtype, Pooling
from fnet_cli.encoding.verifying import verify_output
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
        from fnet_cli.encoding.job import JobContext, encode_files
        from fnet_cli.encoding.options import EncodeOptions

        options = EncodeOptions((str(tokens),), str(output), str(preset), pad_id=3, **how)
        report = encode_files(options, JobContext(settings=Settings()))
    check = verify_output(str(output))
    assert check.faults == []
    assert (check.rows, check.dimension, check.null_rows) == (report.rows_out, 32, 0)
    assert check.vectors == (report.tokens if pooling is Pooling.TOKENS else report.rows_out)
    assert check.smallest_length == pytest.approx(1, abs=5e-3)
    assert list(check.columns) == ["id", "embedding"]
    if suffix == "parquet":
        assert check.metadata["pooling"] == pooling.value


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(hnp.arrays(np.float32, st.tuples(st.integers(1, 20), st.just(4)), elements=st.sampled_from(
    [0.0, 0.5, -2.0, 1e30, np.nan, np.inf, -np.inf])))  # fmt: skip
def test_counts_are_those_of_numpy(tmp_path, vectors):
    check = verify_output(write(tmp_path / "x.parquet", vectors.tolist()))
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    bad, zero = ~np.isfinite(lengths), lengths == 0
    assert (check.vectors, check.non_finite_vectors) == (len(vectors), bad.sum())
    assert check.first_non_finite_row == (int(bad.argmax()) if bad.any() else None)
    assert check.first_zero_row == (int(zero.argmax()) if zero.any() else None)
    assert check.zero_vectors == zero.sum()
    if not bad.all():
        good = lengths[~bad]
        wanted = (good.min(), good.mean(), good.max())
        found = (check.smallest_length, check.mean_length, check.largest_length)
        assert found == pytest.approx(wanted)
    assert bool(check.faults) == bool(bad.any())


def test_a_vector_that_is_null_is_a_fault_and_one_of_zeros_is_not(tmp_path):
    rows = [[1, 0, 0, 0], [0, 0, 0, 0], None, [0, 1, 0, 0], None]
    check = verify_output(write(tmp_path / "x.parquet", rows))
    assert (check.zero_vectors, check.first_zero_row) == (1, 1)
    assert check.faults == ["2 rows have no vector, the first is row 2"]


def test_the_row_of_a_bad_token_is_named(tmp_path):
    rows = [[[1, 0, 0, 0]] * 3, [], [[0, 1, 0, 0], [0, np.nan, 0, 0]]]
    check = verify_output(write(tmp_path / "x.parquet", rows, pa.list_(VECTOR)))
    assert (check.vectors, check.non_finite_vectors, check.first_non_finite_row) == (5, 1, 2)


@pytest.mark.parametrize(
    ("length", "dtype", "faulty"),
    [(1.0, "float32", False), (1.001, "float32", True), (1.001, "float16", False),
     (0.9, "float16", True), (0.0, "float32", False)],
)  # fmt: skip
def test_vectors_that_are_said_to_have_length_1_have_it(tmp_path, length, dtype, faulty):
    how = {"normalize": True, "output_dtype": dtype}
    check = verify_output(write(tmp_path / "x.parquet", [[length, 0, 0, 0]], **how))
    assert bool(check.faults) == faulty


@pytest.mark.parametrize(
    ("kind", "rows", "fault"),
    [
        (pa.list_(pa.float32()), [[1.0], [1.0, 2.0]], "it has vectors of 1 and of 2 numbers"),
        (pa.list_(pa.int32()), [[1]], "its vectors are list"),
        (pa.string(), ["x"], "its vectors are string"),
        (pa.list_(pa.float32()), [[1.0, None]], "it has vectors with nulls in them"),
    ],
)
def test_what_are_no_vectors_is_said(tmp_path, kind, rows, fault):
    (found,) = verify_output(write(tmp_path / "x.parquet", rows, kind)).faults
    assert found.startswith(fault)


def test_a_file_of_something_else_has_no_embeddings(tmp_path):
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    assert verify_output(str(tmp_path / "x.parquet")).faults == ["there is no column embedding"]
    check = verify_output(write(tmp_path / "y.parquet", [[1, 0, 0, 0]]), "other")
    assert check.faults == ["there is no column other"]


def test_a_file_without_rows_is_whole(tmp_path):
    check = verify_output(write(tmp_path / "x.parquet", []))
    assert (check.rows, check.vectors, check.smallest_length, check.faults) == (0, 0, None, [])
    (tmp_path / "x.jsonl").touch()
    assert verify_output(str(tmp_path / "x.jsonl")).faults == []


def test_a_damaged_page_and_a_file_that_is_cut_off_are_faults(tmp_path):
    path = tmp_path / "x.parquet"
    write(path, np.random.default_rng(1).random((9, 4)).tolist())
    column = pq.read_metadata(path).row_group(1).column(1)
    whole = path.read_bytes()
    data = bytearray(whole)
    data[column.data_page_offset + column.total_compressed_size - 3] ^= 255
    path.write_bytes(data)
    (fault,) = verify_output(str(path)).faults
    assert "not a complete Parquet file" in fault
    path.write_bytes(whole[:-10])
    assert verify_output(str(path)).faults


def test_a_line_that_is_no_json_is_a_fault(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"embedding": [1.0]}\n{"embedding": [1.0\n')
    (fault,) = verify_output(str(tmp_path / "x.jsonl")).faults
    assert fault.startswith("line 2: not valid JSON")


def test_a_job_that_has_not_ended_is_told(preset, tokens, tmp_path):
    from fnet_cli.config import Settings
    from fnet_cli.encoding.job import JobContext, encode_files
    from fnet_cli.encoding.options import EncodeOptions

    output = str(tmp_path / "out.parquet")
    options = EncodeOptions((str(tokens),) * 3, output, str(preset), pad_id=3, columns=("id",))
    stopping = JobContext(settings=Settings(), is_stopping=lambda: True)
    with pytest.raises(StoppedError):
        encode_files(options, stopping)
    check = verify_output(output)
    assert check.unfinished_rows == 70
    assert check.faults == ["the job has not ended: 70 rows are kept, and --resume goes on"]


def test_what_is_not_there_or_no_output_is_a_mistake(tmp_path):
    with pytest.raises(InputDataError, match="no such file"):
        verify_output(str(tmp_path / "x.parquet"))
    (tmp_path / "x.csv").touch()
    with pytest.raises(UsageError, match="the suffix is none of an output"):
        verify_output(str(tmp_path / "x.csv"))
