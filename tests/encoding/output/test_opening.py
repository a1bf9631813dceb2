"""An output is begun, gone on with, kept or published; by one process, and for one job."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fnet_cli.encoding.options import Compression, OutputFormat, Restart
from fnet_cli.encoding.output import journal, opening
from fnet_cli.encoding.output.journal import Counts, JobDirectory
from fnet_cli.encoding.output.opening import JobOutput, Kept, open_output
from fnet_cli.encoding.output.target import OutputTarget
from fnet_cli.errors import OutputError

SCHEMA = pa.schema([("id", pa.int64()), ("embedding", pa.list_(pa.float32(), 2))])
JOB = {
    "inputs": [{"name": "in.parquet", "size": 10, "modified": 5}],
    "sequence_length": 128,
    "pooling": "mean",
}
FORMATS = [OutputFormat.PARQUET, OutputFormat.JSONL]


class CrashError(Exception):
    """What stands for any error."""


def batch(start: int, count: int = 1) -> pa.RecordBatch:
    numbers = list(range(start, start + count))
    vectors = [[float(number), 0.5] for number in numbers]
    return pa.RecordBatch.from_arrays(
        [pa.array(numbers), pa.array(vectors, SCHEMA.field("embedding").type)], schema=SCHEMA
    )


def target_of(path: Path | None, kind: OutputFormat = OutputFormat.PARQUET) -> OutputTarget:
    return OutputTarget(path, kind, Compression.ZSTD, SCHEMA, row_group_rows=2)


def ids(path: Path, kind: OutputFormat) -> list[int]:
    if kind is OutputFormat.PARQUET:
        return pq.read_table(path, page_checksum_verification=True)["id"].to_pylist()
    return [json.loads(line)["id"] for line in path.read_text().splitlines()]


def write_rows(output: JobOutput, rows: int) -> int:
    """Write rows one by one up to `rows`; return from which one on."""
    first = output.begun.counts.rows if output.begun else 0
    output.ran_on("CPU:0", 512)
    for row in range(first, rows):
        output.write(batch(row), Counts(rows=row + 1), ())
    return first


def work(
    path: Path,
    rows: int,
    kind: OutputFormat = OutputFormat.PARQUET,
    *,
    job: dict | None = JOB,
    restart: Restart = Restart.RESUME,
    fail: bool = False,
) -> tuple[int, list[Kept]]:
    """Write rows up to `rows`, and end or fail; return from which one on, and what was kept."""
    kept: list[Kept] = []
    with (
        pytest.raises(CrashError) if fail else nullcontext(),
        open_output(target_of(path, kind), job, restart, None, kept.append) as output,
    ):
        first = write_rows(output, rows)
        if fail:
            raise CrashError
        assert output.close(()) == rows
    return first, kept


def crash(path: Path, rows: int, kind: OutputFormat = OutputFormat.PARQUET, **how) -> list[Kept]:
    return work(path, rows, kind, fail=True, **{"restart": Restart.NEVER, **how})[1]


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "out.bin"


# --- Whole jobs -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_a_job_that_ends_leaves_its_output_and_nothing_else(path, kind):
    assert work(path, 5, kind, restart=Restart.NEVER) == (0, [])
    assert ids(path, kind) == [0, 1, 2, 3, 4]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_job_without_rows_leaves_an_output_without_rows(path, kind):
    work(path, 0, kind)
    assert ids(path, kind) == []


def test_an_output_has_the_mode_that_any_new_file_has(path):
    work(path, 1)
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_while_it_grows_it_is_nobody_else_s_to_read(path):
    with open_output(target_of(path), JOB, Restart.NEVER, None, lambda _: None):
        assert JobDirectory(path).data.stat().st_mode & 0o077 == 0


def test_a_signal_while_the_job_s_directory_is_made_leaves_nothing(path, monkeypatch):
    def interrupted(_path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(journal, "sync", interrupted)
    opened = open_output(target_of(path), JOB, Restart.NEVER, None, lambda _: None)
    with pytest.raises(KeyboardInterrupt), opened:
        pass
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_resume_begins_where_nothing_is_there(path, kind):
    assert work(path, 3, kind, restart=Restart.RESUME) == (0, [])
    assert ids(path, kind) == [0, 1, 2]


# --- Going on ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("rows", range(1, 6))
def test_an_error_keeps_every_row_that_was_written(path, kind, rows):
    kept = crash(path, rows, kind)
    assert kept == [Kept(rows, f"{path}.fnet")]
    assert not path.exists()
    assert work(path, 7, kind) == (rows, [])
    assert ids(path, kind) == list(range(7))
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_job_may_be_gone_on_with_again_and_again(path, kind):
    crash(path, 2, kind)
    for rows in (3, 4, 4, 6):
        work(path, rows, kind, fail=True)
    work(path, 8, kind)
    assert ids(path, kind) == list(range(8))


def test_a_joined_file_is_read_by_duckdb(path):
    crash(path, 3)
    work(path, 6)
    (rows,) = duckdb.sql(f"SELECT sum(id), count(*) FROM read_parquet('{path}')").fetchall()
    assert rows == (15, 6)


def test_what_it_ran_on_is_remembered(path):
    crash(path, 2)
    with open_output(target_of(path), JOB, Restart.RESUME, None, lambda _: None) as output:
        assert (output.begun.device, output.begun.batch_tokens) == ("CPU:0", 512)
        output.close(())


def test_an_error_before_the_first_row_leaves_nothing(path):
    assert crash(path, 0) == []
    assert list(path.parent.iterdir()) == []


def test_rows_that_wait_for_a_row_group_are_put_away_in_time(path, monkeypatch):
    monkeypatch.setattr(opening, "_SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(opening, "_CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(opening, "_CHECKPOINT_SHARE", 1e9)
    with open_output(target_of(path), JOB, Restart.NEVER, None, lambda _: None) as output:
        for row in range(3):
            output.write(batch(row), Counts(rows=row + 1), ())
            assert JobDirectory(path).saved().checkpoint.counts.rows == row + 1
        output.close(())
    assert pq.read_metadata(path).num_row_groups == 3


def test_data_that_is_no_parquet_is_told(path):
    crash(path, 4)
    data = JobDirectory(path).data
    data.write_bytes(bytes(data.stat().st_size))
    with pytest.raises(OutputError, match="data is damaged") as caught:
        work(path, 6)
    assert caught.value.hint == "--overwrite starts again"


# --- Not going on -----------------------------------------------------------------------------


def test_an_unfinished_job_is_not_written_over(path):
    crash(path, 3)
    with pytest.raises(OutputError, match="has 3 rows of a job that did not end") as caught:
        work(path, 5, restart=Restart.NEVER)
    assert caught.value.hint == "--resume goes on with it, --overwrite starts again"
    assert work(path, 5) == (3, [])


def test_overwrite_starts_again(path):
    crash(path, 3)
    assert work(path, 5, restart=Restart.OVERWRITE) == (0, [])


def test_an_old_output_stays_until_the_new_one_is_whole(path):
    path.write_text("old")
    crash(path, 3, restart=Restart.OVERWRITE)
    assert path.read_text() == "old"
    assert JobDirectory(path).saved().replaces
    work(path, 5)
    assert ids(path, OutputFormat.PARQUET) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sequence_length": 64}, "sequence length was 128, and is 64"),
        ({"pooling": "cls"}, "pooling was mean, and is cls"),
        ({"limit": 3}, "limit was None, and is 3"),
        (
            {"inputs": [{"name": "in.parquet", "size": 10, "modified": 6}]},
            "in.parquet has changed",
        ),
        (
            {"inputs": [*JOB["inputs"], {"name": "b.parquet", "size": 1, "modified": 1}]},
            "b.parquet was not among the inputs",
        ),
        ({"inputs": []}, "in.parquet is no longer among the inputs"),
        ({"inputs": JOB["inputs"] * 2}, "the order of the inputs was another"),
    ],
)
def test_another_job_is_refused_with_what_differs(path, change, said):
    crash(path, 3)
    with pytest.raises(OutputError, match=said) as caught:
        work(path, 5, job={**JOB, **change})
    assert "--overwrite to start again" in caught.value.hint
    assert work(path, 5) == (3, [])


# --- Alone ------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from fnet_cli.encoding.output.opening import _alone
from fnet_cli.encoding.output.journal import JobDirectory
with _alone(JobDirectory(Path(sys.argv[1])), 0):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_told_who_holds_it(path, holder):
    with pytest.raises(OutputError, match=f"is being written by process {holder.pid}") as caught:
        work(path, 3)
    assert str(path) in caught.value.hint
    assert not path.exists()


def test_the_lock_of_a_dead_process_is_taken_over(path, holder):
    holder.kill()
    holder.wait()
    assert JobDirectory(path).path.joinpath("lock").exists()
    assert work(path, 3) == (0, [])


def test_a_second_job_of_the_same_process_is_refused(path):
    refused = []

    def second() -> None:
        try:
            work(path, 1)
        except OutputError as error:
            refused.append(str(error))

    with open_output(target_of(path), JOB, Restart.NEVER, None, lambda _: None) as output:
        thread = threading.Thread(target=second)
        thread.start()
        thread.join()
        output.close(())
    assert refused == [f"{path} is being written by process {os.getpid()}"]


# --- A disk that refuses ----------------------------------------------------------------------


@pytest.fixture
def small_files():
    """Let no file of this process grow over 2 kB."""
    import resource
    import signal

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_disk_that_is_full_keeps_what_is_on_it(path, kind, small_files):
    kept: list[Kept] = []
    small_files(20_000)
    opened = open_output(target_of(path, kind), JOB, Restart.NEVER, None, kept.append)
    with pytest.raises(OutputError, match="File too large"), opened as output:
        write_rows(output, 10_000)
    small_files(10**9)
    (rest,) = kept
    assert rest.rows > 20
    assert work(path, rest.rows + 50, kind) == (rest.rows, [])
    assert ids(path, kind) == list(range(rest.rows + 50))


# --- Streams ----------------------------------------------------------------------------------


def test_a_stream_is_not_gone_on_with(path):
    stdout = io.BytesIO()
    with open_output(
        target_of(None, OutputFormat.JSONL), JOB, Restart.NEVER, stdout, lambda _: None
    ) as output:
        output.ran_on("CPU:0", 512)
        assert output.begun is None
        output.write(batch(0, 2), Counts(rows=2), ())
        assert output.close(()) == 2
    assert [json.loads(line)["id"] for line in stdout.getvalue().splitlines()] == [0, 1]
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_of_rows_that_cannot_be_read_again_is_whole_or_not_there(path, kind):
    assert crash(path, 3, kind, job=None) == []
    assert list(path.parent.iterdir()) == []
