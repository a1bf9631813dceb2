"""A directory of parts is read file by file, and held against what its job has noted."""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_preset
from jobs import CONFIG

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.examining_parts import DirectoryCheck
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import EncodeOptions, OnError, OutputDtype, OutputFormat
from fnet_cli.encoding.verifying import verify_output
from fnet_cli.errors import InputDataError, StoppedError

ROWS = 60
PART = "part-00001.parquet"
VECTOR = pa.list_(pa.float32(), 2)
JOBS = {
    "whole": {"normalize": True},
    "narrow": {"normalize": True, "output_dtype": OutputDtype.FLOAT16},
    "long": {"normalize": False},
    "lines": {"format": OutputFormat.JSONL, "on_error": OnError.QUARANTINE, "bad": 30},
    "stopped": {"normalize": True},
}


def write_tokens(path: Path, bad: int | None = None) -> Path:
    """Write rows of ids, of which one, where it is to be bad, has one too large."""
    rng = np.random.default_rng(3)
    ids = [rng.integers(4, 12, rng.integers(1, 20)).tolist() for _ in range(ROWS)]
    if bad is not None:
        ids[bad] = [999]
    pq.write_table(pa.table({"id": range(ROWS), "token_ids": ids}), path)
    return path


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    """Return a directory with the output of each job: three parts, or one where it was stopped."""
    root = tmp_path_factory.mktemp("written")
    write_preset(root / "preset", CONFIG)
    engines: list[object] = []

    def one_engine(request):
        engines[:] = engines or [load_engine(request)]  # all pool alike
        return engines[0]

    for name, how in JOBS.items():
        source = write_tokens(root / "tokens.parquet", how.get("bad"))

        def is_stopping(name: str = name) -> bool:
            return name == "stopped" and any((root / name).glob("part-*"))

        context = JobContext(settings=Settings(), engine_loader=one_engine, is_stopping=is_stopping)
        options = EncodeOptions(
            (str(source),), f"{root / name}/", str(root / "preset"), part_rows=20,
            columns=("id",), pad_id=3, **{key: how[key] for key in how if key != "bad"},
        )  # fmt: skip
        with suppress(StoppedError):
            encode_files(options, context)
    return root


@pytest.fixture
def copied(written, tmp_path):
    """Return a function that copies the output of a job, to be damaged."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(written / name, tmp_path / name))

    return copy


def faulty(check: DirectoryCheck) -> dict[str, tuple[str, ...]]:
    return {part.file: part.faults for part in check.parts}


def changed(path: Path, **changes: object) -> None:
    path.write_bytes(orjson.dumps({**orjson.loads(path.read_bytes()), **changes}))


def test_what_encode_writes_has_no_fault_and_is_summed_up(copied):
    check = verify_output(str(copied("whole")))
    assert (check.faults, check.parts, check.unfinished_job) == ((), (), False)
    assert (check.parts_stated, check.parts_done, check.parts_read) == (3, 3, 3)
    assert (check.rows, check.rows_read, check.vectors) == (ROWS, ROWS, ROWS)
    assert (check.dimension, check.number_type, check.all_length_1) == (32, "float32", True)
    assert check.smallest_length <= 1 <= check.largest_length
    assert list(check.columns) == ["id", "embedding"]
    assert check.metadata["normalize"] is True


def test_lengths_are_those_of_the_shortest_and_the_longest_of_all_parts(copied):
    directory = copied("long")
    tables = [pq.read_table(path) for path in sorted(directory.glob("part-*"))]
    vectors = np.array(pa.concat_tables(tables)["embedding"].to_pylist())
    lengths = np.linalg.norm(vectors, axis=1)
    check = verify_output(str(directory))
    assert check.faults == ()
    found = (check.smallest_length, check.largest_length)
    assert found == pytest.approx((lengths.min(), lengths.max()), rel=1e-6)
    assert check.all_length_1 is False


def test_json_lines_and_rejected_rows_are_held_against_the_records(copied):
    directory = copied("lines")
    check = verify_output(str(directory))
    assert (check.faults, check.rows, check.parts_done) == ((), ROWS - 1, 3)
    (rejected,) = directory.glob("_fnet/*.rejected.jsonl")
    size = rejected.stat().st_size
    rejected.unlink()
    fault = f"its rejected rows take 0 bytes, and its record says {size}"
    assert faulty(verify_output(str(directory))) == {"part-00001.jsonl": (fault,)}


def test_parts_that_are_missing_are_named_one_by_one(copied):
    directory = copied("whole")
    (directory / "part-00000.parquet").unlink()
    (directory / "part-00002.parquet").unlink()
    check = verify_output(str(directory))
    assert faulty(check) == {
        "part-00000.parquet": ("it is missing",),
        "part-00002.parquet": ("it is missing",),
    }
    first = "the first is part-00000.parquet: it is missing"
    assert check.faults == (f"2 files have faults, {first}",)
    assert (check.parts_done, check.parts_read, check.rows) == (1, 1, 20)


def test_a_part_that_was_cut_off_is_read_as_far_as_it_goes(copied):
    directory = copied("whole")
    part = directory / PART
    size = part.stat().st_size
    part.write_bytes(part.read_bytes()[:-9])
    check = verify_output(str(directory))
    size_fault, damage = faulty(check)[PART]
    assert size_fault == f"it has {size - 9:,} bytes, and its record says {size:,}"
    assert damage.startswith("not a complete Parquet file")
    assert check.faults == (f"{PART}: {size_fault}",)
    assert (check.rows, check.vectors, check.parts_done) == (40, 40, 2)


def test_a_page_that_is_damaged_at_the_same_size_is_a_fault(copied):
    directory = copied("whole")
    part = directory / PART
    data = bytearray(part.read_bytes())
    chunk = pq.read_metadata(part).row_group(0).column(1)
    data[chunk.data_page_offset + chunk.total_compressed_size - 3] ^= 255
    part.write_bytes(data)
    check = verify_output(str(directory))
    (fault,) = faulty(check)[PART]
    assert fault.startswith("20 rows cannot be read, the first is row 0")
    assert (check.unreadable_rows, check.rows_read, check.parts_done) == (20, 40, 3)


def test_a_part_with_other_rows_than_its_record_says_is_a_fault(copied):
    directory = copied("whole")
    changed(directory / "_fnet/part-00001.json", rows_out=21)
    fault = "it has 20 rows, and its record says 21"
    assert faulty(verify_output(str(directory))) == {PART: (fault,)}


@pytest.mark.parametrize(("content", "what"), [(None, "missing"), (b"{", "damaged")])
def test_a_part_without_a_record_is_a_fault_in_a_job_that_has_ended(copied, content, what):
    directory = copied("whole")
    record = directory / "_fnet/part-00001.json"
    record.unlink() if content is None else record.write_bytes(content)
    check = verify_output(str(directory))
    assert faulty(check) == {PART: (f"its record, _fnet/part-00001.json, is {what}",)}
    assert (check.parts_done, check.rows) == (2, ROWS)


def test_files_that_no_job_has_written_are_faults_unless_readers_leave_them_out(copied):
    directory = copied("whole")
    shutil.copy(directory / PART, directory / "part-00003.parquet")
    (directory / "notes.txt").touch()
    for name in ("_metadata", ".part-00000.parquet.crc"):
        (directory / name).touch()
    other = ("it is no part of the job",)
    check = verify_output(str(directory))
    assert faulty(check) == {"notes.txt": other, "part-00003.parquet": other}
    assert (check.rows, check.parts_read) == (ROWS, 3)


def test_a_job_that_has_not_ended_says_how_far_it_is(copied):
    directory = copied("stopped")
    check = verify_output(str(directory))
    ended = "the job has not ended: 1 of 3 parts are done, and --resume goes on"
    assert (check.faults, check.parts) == ((ended,), ())
    assert (check.unfinished_job, check.parts_done, check.parts_stated) == (True, 1, 3)
    record = directory / "_fnet/part-00000.json"
    record.unlink()  # the part was put in its place a moment ago
    check = verify_output(str(directory))
    assert (check.faults, check.parts) == ((ended.replace("1 of", "0 of"),), ())
    record.write_bytes((directory / "_fnet/job.json").read_bytes())
    assert "is damaged" in faulty(verify_output(str(directory)))["part-00000.parquet"][0]


def test_a_part_that_was_done_and_is_gone_is_a_fault_before_the_end_too(copied):
    directory = copied("stopped")
    (directory / "part-00000.parquet").unlink()
    assert faulty(verify_output(str(directory))) == {"part-00000.parquet": ("it is missing",)}


def test_only_the_mark_of_the_end_is_lacking(copied):
    directory = copied("whole")
    (directory / "_SUCCESS").unlink()
    check = verify_output(str(directory))
    ended = "the job has not ended: 3 of 3 parts are done, and --resume goes on"
    assert (check.faults, check.rows, check.unfinished_job) == ((ended,), ROWS, True)


def test_parts_of_different_jobs_are_not_one_table(copied):
    directory = copied("whole")
    shutil.copy(copied("narrow") / PART, directory / PART)
    (_, columns, metadata) = faulty(verify_output(str(directory)))[PART]
    assert columns.startswith("its columns are not those of part-00000.parquet: embedding fixed_")
    assert metadata == "its metadata is not that of part-00000.parquet"
    shutil.copy(copied("long") / PART, directory / PART)
    faults = faulty(verify_output(str(directory)))[PART]
    assert not any("its columns" in fault for fault in faults)
    assert "its metadata is not that of part-00000.parquet" in faults


@pytest.mark.parametrize("content", ["{", '{"format": 9}', '{"format": 1, "parts": 0, "job": {}}'])
def test_a_job_that_cannot_be_told_is_a_fault_and_its_files_are_read(copied, content):
    directory = copied("whole")
    (directory / "_fnet/job.json").write_text(content)
    check = verify_output(str(directory))
    (fault,) = check.faults
    assert fault.startswith("_fnet/job.json is damaged, or of another version of fnet: files were")
    assert (check.rows, check.parts_stated, check.parts_done) == (ROWS, None, None)


@pytest.mark.parametrize("parts", [10**15, True, -3])
def test_a_number_of_parts_that_cannot_be_ends(copied, parts):
    directory = copied("whole")
    changed(directory / "_fnet/job.json", parts=parts)
    assert verify_output(str(directory)).faults


def test_a_bad_vector_is_found_by_part_and_row(copied):
    directory = copied("whole")
    table = pq.read_table(directory / PART)
    rows = table["embedding"].to_pylist()
    rows[7][0] = np.nan
    column = pa.array(rows, table.schema.field("embedding").type)
    table = table.set_column(1, table.schema.field("embedding"), column)
    pq.write_table(table, directory / PART)
    check = verify_output(str(directory))
    (part,) = check.parts
    assert "1 vector has a NaN or infinite number: row 7" in part.faults
    assert (check.non_finite_vectors, part.first_non_finite_row) == (1, 7)


def foreign(directory: Path, name: str, rows: list, kind: pa.DataType = VECTOR) -> None:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    stated = {"fnet": json.dumps({"preset": name})}
    pq.write_table(pa.table({"embedding": pa.array(rows, kind)}, metadata=stated), path)


def test_a_directory_of_another_program_is_read_file_by_file(tmp_path):
    foreign(tmp_path, "lang=en/part-0.parquet", [[1, 0], [0, 0]])
    foreign(tmp_path, "lang=de/part-0.parquet", [[3, 4]])
    (tmp_path / "more.jsonl").write_text(json.dumps({"embedding": [0.5, 0.0]}) + "\n")
    (tmp_path / "_SUCCESS").touch()
    foreign(tmp_path, "_temporary/part-0.parquet", [None])
    foreign(tmp_path, "other.parquet.fnet/part-0.parquet", [None])
    check = verify_output(str(tmp_path))
    assert (check.faults, check.has_journal, check.parts_read) == ((), False, 3)
    assert (check.rows, check.zero_vectors, check.largest_length) == (4, 1, 5)
    assert check.all_length_1 is False
    assert (check.parts_stated, check.parts_done, check.unfinished_job) == (None, None, False)


def test_files_of_another_program_must_be_one_table(tmp_path):
    kind = pa.list_(pa.float32())
    foreign(tmp_path, "a.parquet", [], kind)
    foreign(tmp_path, "b.parquet", [[1, 0]], kind)
    foreign(tmp_path, "c.parquet", [[1, 0, 0], [1, 0, 0]], kind)
    foreign(tmp_path, "d.parquet", [[1, 0]])
    found = faulty(verify_output(str(tmp_path)))
    assert found["c.parquet"] == ("its vectors are of dimension 3, those before of 2",)
    assert found["d.parquet"][0].startswith("its columns are not those of a.parquet: embedding fix")
    assert len(found) == 2


def test_a_file_that_cannot_be_opened_is_one_faulty_part(copied, monkeypatch):
    directory, whole = copied("whole"), pa.OSFile

    def refuse(name: str):
        if name.endswith(PART):  # root may read everything
            raise PermissionError(13, "Permission denied")
        return whole(name)

    monkeypatch.setattr(pa, "OSFile", refuse)
    check = verify_output(str(directory))
    assert faulty(check) == {PART: ("Permission denied",)}
    assert check.parts_read == 3


def test_a_record_that_cannot_be_read_is_a_mistake_and_no_damage(copied, monkeypatch):
    directory, whole = copied("whole"), Path.read_bytes

    def refuse(self):
        if self.name == "part-00001.json":
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(InputDataError, match="_fnet/part-00001.json: Permission denied"):
        verify_output(str(directory))


def test_a_directory_that_cannot_be_listed_is_a_mistake(copied, monkeypatch):
    directory = copied("whole")

    def walk(path, onerror):
        onerror(PermissionError(13, "Permission denied", f"{path}/_fnet"))

    monkeypatch.setattr("fnet_cli.encoding.verifying.os.walk", walk)
    with pytest.raises(InputDataError, match="_fnet: Permission denied"):
        verify_output(str(directory))


def test_a_link_to_a_directory_is_not_passed_over(tmp_path):
    foreign(tmp_path / "there", "a.parquet", [None])
    foreign(tmp_path / "here", "a.parquet", [[1, 0]])
    (tmp_path / "here/more").symlink_to(tmp_path / "there")
    with pytest.raises(InputDataError, match="here/more: is a link"):
        verify_output(str(tmp_path / "here"))
