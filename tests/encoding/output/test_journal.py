"""What a job has done, kept so that a crash at any byte costs the last of it only."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnet_cli.encoding.output.journal import Checkpoint, Counts, JobDirectory
from fnet_cli.errors import OutputError

JOB = {"preset": "p", "inputs": [{"name": "in", "size": 3}]}
POINTS = [
    Checkpoint(Counts(3, 0, 30, 1, 2), [10, 20], 0, "CPU:0", 4096),
    Checkpoint(Counts(5, 1, 50, 1, 2), [35], 7, "CPU:0", 4096),
    Checkpoint(Counts(9, 1, 90, 2, 5), [40, 50], 7, "CPU:0", 4096),
]


@pytest.fixture
def directory(tmp_path) -> JobDirectory:
    made = JobDirectory(tmp_path / "out.parquet")
    made.path.mkdir()
    return made


def write(directory: JobDirectory, points: list[Checkpoint], *, replaces: bool = False) -> None:
    directory.begin(JOB, replaces=replaces)
    with directory.data.open("r+b") as file, directory.rejected.open("r+b") as rejected:
        for point in points:
            file.write(bytes(point.size - file.tell()))
            rejected.write(bytes(point.rejected_bytes - rejected.tell()))
            file.flush()
            rejected.flush()
            directory.save(point, file, rejected)


def test_it_stands_beside_the_output(directory, tmp_path):
    assert directory.path == tmp_path / "out.parquet.fnet"


def test_the_last_checkpoint_is_found_with_the_ends_of_all_parts(directory):
    write(directory, POINTS)
    saved = directory.saved()
    assert saved.job == JOB
    assert saved.checkpoint == Checkpoint(POINTS[2].counts, [10, 20, 35, 40, 50], 7, "CPU:0", 4096)


def test_where_nothing_began_nothing_is_found(directory):
    assert directory.saved() is None


def test_a_job_that_has_written_nothing_has_no_checkpoint(directory):
    write(directory, [])
    assert directory.saved().checkpoint is None


@pytest.mark.parametrize("replaces", [True, False])
def test_whether_the_output_is_to_be_replaced_is_remembered(directory, replaces):
    write(directory, [], replaces=replaces)
    assert directory.saved().replaces is replaces


def test_a_new_job_forgets_the_one_before(directory):
    write(directory, POINTS)
    write(directory, POINTS[:1])
    assert directory.saved().checkpoint == POINTS[0]
    assert directory.data.stat().st_size == 20


@given(st.data())
def test_a_journal_that_is_torn_at_any_byte_loses_its_last_lines_only(tmp_path_factory, data):
    directory = JobDirectory(tmp_path_factory.mktemp("job") / "out")
    directory.path.mkdir()
    write(directory, POINTS)
    journal = directory.path / "journal.jsonl"
    whole = journal.read_bytes()
    size = data.draw(st.integers(0, len(whole)))
    journal.write_bytes(whole[:size])
    lines = whole.splitlines(keepends=True)
    # A line that lacks nothing but its end is whole.
    kept = sum(size >= sum(map(len, lines[: upto + 1])) - 1 for upto in range(len(lines)))
    point = directory.saved().checkpoint
    assert (point.counts if point else None) == ([None, *[p.counts for p in POINTS]][kept])


@pytest.mark.parametrize(("size", "rows"), [(50, 9), (49, 5), (35, 5), (34, 3), (19, None)])
def test_data_that_did_not_reach_the_disk_is_not_counted_on(directory, size, rows):
    write(directory, POINTS)
    with directory.data.open("r+b") as file:
        file.truncate(size)
    point = directory.saved().checkpoint
    assert (point.counts.rows if point else None) == rows


@pytest.mark.parametrize(("size", "rows"), [(8, 9), (7, 9), (6, 3), (0, 3)])
def test_rejected_rows_that_did_not_reach_the_disk_are_rejected_again(directory, size, rows):
    write(directory, POINTS)
    with directory.rejected.open("r+b") as file:
        file.truncate(size)
    assert directory.saved().checkpoint.counts.rows == rows


def test_going_on_drops_what_came_after_the_checkpoint(directory):
    write(directory, POINTS[:2])
    with directory.data.open("ab") as file:
        file.write(b"torn")
    with directory.rejected.open("ab") as file:
        file.write(b"torn")
    with (directory.path / "journal.jsonl").open("ab") as journal:
        journal.write(b'{"counts": {"ro')
    point = directory.saved().checkpoint
    directory.go_on(point)
    assert directory.data.stat().st_size == 35
    assert directory.rejected.stat().st_size == 7
    with directory.data.open("r+b") as file:
        file.write(bytes(50))
        file.flush()
        directory.save(POINTS[2], file)
    assert directory.saved().checkpoint.ends == [10, 20, 35, 40, 50]


@pytest.mark.parametrize(
    "line",
    [b"null", b"[]", b'"x"', b"{}", b'{"counts": 3, "ends": []}', b'{"counts": {"x": 1}}', b"\xff",
     b'{"counts": {}, "ends": null}', b'{"counts": {}, "ends": ["1"]}',
     b'{"counts": {"rows": "3"}, "ends": [3]}'],
)  # fmt: skip
def test_a_line_that_is_no_checkpoint_ends_the_journal(directory, line):
    write(directory, POINTS[:1])
    with (directory.path / "journal.jsonl").open("ab") as journal:
        journal.write(line + b"\n")
    assert directory.saved().checkpoint == POINTS[0]


@pytest.mark.parametrize("text", [b"", b"{", b"\0\0\0"])
def test_a_job_whose_description_is_torn_has_not_begun(directory, text):
    write(directory, POINTS)
    (directory.path / "job.json").write_bytes(text)
    assert directory.saved() is None


@pytest.mark.parametrize("text", [b"[]", b"{}", b'{"format": 99, "job": {}}'])
def test_a_job_of_another_version_is_refused(directory, text):
    write(directory, POINTS)
    (directory.path / "job.json").write_bytes(text)
    with pytest.raises(OutputError, match="of another version of fnet"):
        directory.saved()


def test_clearing_leaves_what_is_not_the_job_s(directory):
    write(directory, POINTS)
    (directory.path / "lock").touch()
    directory.clear()
    assert [path.name for path in directory.path.iterdir()] == ["lock"]
