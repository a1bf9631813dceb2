"""Which rows a report looks at, and what it shows of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from outputs import report, write

from fnet_cli.encoding.verifying import find_files
from fnet_cli.errors import InputDataError
from fnet_cli.reporting.options import ReportOptions
from fnet_cli.reporting.sampling import MOST_COLUMNS, draw


def sampled(source: str, **changes):
    return draw(find_files(source), ReportOptions(source, None, **changes))


def numbered(count: int, first: int = 0) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.float32)[:, None] + np.array([1, 2], "f4")


def test_a_sample_is_of_rows_as_they_are_and_by_the_seed_alone(tmp_path):
    source = write(tmp_path / "x.parquet", numbered(200), {"id": np.arange(200) * 7})
    one, again = (sampled(source, sample=30, seed=5) for _ in range(2))
    assert one.numbers.tolist() == again.numbers.tolist()
    assert (one.rows, one.total, len(set(one.numbers.tolist()))) == (30, 200, 30)
    assert one.vectors[:, 0].tolist() == (one.numbers + 1.0).tolist()
    assert one.columns["id"] == (one.numbers * 7).tolist()
    assert sampled(source, sample=30, seed=6).numbers.tolist() != one.numbers.tolist()
    assert sampled(source, sample=200).numbers.tolist() == list(range(200))


def test_every_row_has_the_same_chance(tmp_path):
    source = write(tmp_path / "x.parquet", numbered(40))
    drawn = [row for seed in range(60) for row in sampled(source, sample=10, seed=seed).numbers]
    counts = np.bincount(drawn, minlength=40)
    # 15 each are expected, with a deviation of 3.4.
    assert counts.min() > 2
    assert counts.max() < 32


def test_a_directory_of_parquet_and_json_lines_is_one_table(tmp_path):
    write(tmp_path / "a.parquet", numbered(50), {"kind": ["a"] * 50})
    lines = [{"kind": "b", "embedding": row} for row in numbered(30, 50).tolist()]
    (tmp_path / "b.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sample = sampled(str(tmp_path), sample=40)
    assert (sample.names, sample.total, sample.rows) == (("a.parquet", "b.jsonl"), 80, 40)
    assert [sample.columns["kind"][i] for i in range(40)] == ["ab"[f] for f in sample.files]
    # Lines are counted from 1, rows of a table from 0.
    row = sample.numbers - sample.files + 50 * sample.files
    assert sample.vectors[:, 0].tolist() == (row + 1.0).tolist()


def test_columns_are_shown_as_text_or_numbers_and_texts_are_cut(tmp_path):
    moment = datetime(2024, 2, 3, 4, 5, tzinfo=UTC)
    columns = {
        "text": ["long " * 1000],
        "whole": [2**60],
        "part": [1.5],
        "nan": [float("nan")],
        "flag": [True],
        "none": pa.array([None], pa.int32()),
        "price": [Decimal("1.20")],
        "when": pa.array([moment], pa.timestamp("ns", "UTC")),
        "kind": pa.array(["x"]).dictionary_encode(),
        "tokens": [[1, 2, 3]],
        "bytes": [b"\xff"],
    }
    sample = sampled(write(tmp_path / "x.parquet", numbered(1), columns))
    shown = {name: values[0] for name, values in sample.columns.items()}
    text = shown.pop("text")
    assert (len(text), text[-1], sample.text_column) == (400, "…", "text")
    assert shown == {
        "whole": str(2**60), "part": 1.5, "nan": "nan", "flag": "true", "none": None,
        "price": "1.20", "when": "2024-02-03 04:05:00.000000000Z", "kind": "x",
    }  # fmt: skip
    assert sample.left_out == ("tokens", "bytes")


def test_no_more_columns_are_shown_than_a_page_has_room_for(tmp_path):
    columns = {f"c{i}": [i] for i in range(20)} | {"said": ["hello"]}
    source = write(tmp_path / "x.parquet", numbered(1), columns)
    sample = sampled(source, text_column="said")
    assert list(sample.columns) == ["said", *(f"c{i}" for i in range(MOST_COLUMNS))]
    assert sample.left_out == tuple(f"c{i}" for i in range(MOST_COLUMNS, 20))


def test_what_cannot_be_looked_at_is_refused_with_a_reason(tmp_path):
    source = write(tmp_path / "x.parquet", numbered(3), {"words": [[[1.0]]] * 3})
    with pytest.raises(InputDataError, match="no column nope") as caught:
        report(source, text_column="nope")
    assert "words, embedding" in caught.value.hint
    with pytest.raises(InputDataError, match="no column other"):
        report(source, column="other")
    with pytest.raises(InputDataError, match="a vector for every token") as caught:
        report(source, column="words")
    assert "--pooling" in caught.value.hint
    (tmp_path / "x.parquet").write_bytes((tmp_path / "x.parquet").read_bytes()[:-9])
    with pytest.raises(InputDataError, match="not a complete Parquet file"):
        report(source)


def test_rows_of_a_damaged_row_group_are_refused_with_its_number(tmp_path):
    path = tmp_path / "x.parquet"
    source = write(path, np.random.default_rng(0).standard_normal((64, 50)).astype("f4"))
    damaged = bytearray(path.read_bytes())
    damaged[4:400] = bytes(396)
    path.write_bytes(damaged)
    with pytest.raises(InputDataError, match="in row group 0: "):
        report(source)


def test_a_job_that_has_not_ended_is_said(tmp_path):
    directory = tmp_path / "out"
    (directory / "_fnet").mkdir(parents=True)
    (directory / "_fnet/job.json").write_text("{}")
    with pytest.raises(InputDataError, match="the job has not ended, and no part"):
        report(str(directory))
    write(directory / "part-00000.parquet", numbered(3))
    assert report(str(directory)).numbers["notes"] == ["The job has not ended: 1 part so far."]


def test_values_that_python_cannot_hold_are_shown_all_the_same(tmp_path):
    ends = pa.py_buffer(np.array([0, 2], np.int32).tobytes())
    not_text = pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(b"\xffa")])
    columns = {"text": not_text, "day": pa.array([2**30], pa.date32())}
    source = write(tmp_path / "odd.parquet", np.eye(1, 4, dtype=np.float32), columns)
    found = sampled(source)
    assert found.columns["text"] == ["\ufffda"]
    assert len(found.columns["day"]) == 1
