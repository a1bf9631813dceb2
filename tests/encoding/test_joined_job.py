"""Parts that become one file: it has the rows of one that was grown in place, whatever happens."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from job_cases import CASES, ROWS, Cases, stopped_at
from texts import write_text_preset

from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import OnError, OutputFormat
from fnet_cli.encoding.output.places import LocalPlace
from fnet_cli.encoding.parts_job import PartsJob
from fnet_cli.encoding.plan import make_plan
from fnet_cli.encoding.report import EncodeReport
from fnet_cli.encoding.tally import JobTally
from fnet_cli.encoding.verifying import verify_output
from fnet_cli.errors import OutputError, StoppedError, UsageError


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture
def encode(preset, sources, tmp_path):
    """Return a function that runs a job of a case into a file, in a store or on this disk."""

    cases = Cases(preset, sources)

    def run(case: str, output: str, stop_at: float = float("inf"), **changes) -> EncodeReport:
        options, context = cases.options(case, output, **changes), stopped_at(stop_at)
        if changes.get("part_rows") is None or "://" in output:
            return encode_files(options, context)
        # As with several workers, but in this process.
        plan = make_plan(replace(options, part_rows=None), context.settings, None)
        place = LocalPlace(Path(f"{output}.fnet"), whole=Path(output))
        target = replace(plan.target, place=place)
        plan = replace(plan, target=target, options=options)
        return PartsJob(plan, place, context, JobTally(context, plan.rows)).complete()[0]

    return run


@pytest.fixture(params=["store", "disk"])
def out(request, tmp_path) -> str:
    """The name of an output; both end in the same file."""
    (tmp_path / "o").mkdir()
    return f"{'local://' if request.param == 'store' else ''}{tmp_path}/o/out.parquet"


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("case", [case for case in CASES if case != "to-jsonl"])
def test_the_file_has_the_rows_of_one_that_was_grown_in_place(encode, tmp_path, out, case):
    whole = encode(case, f"{tmp_path}/one.parquet")
    report = encode(case, out, part_rows=13)
    table, other = (
        pq.read_table(tmp_path / "o/out.parquet"),
        pq.read_table(tmp_path / "one.parquet"),
    )
    assert table.drop("embedding").equals(other.drop("embedding"))
    assert table.schema.equals(other.schema, check_metadata=True)
    assert (report.rows_in, report.rows_out) == (whole.rows_in, whole.rows_out)
    assert names(tmp_path / "o") == ["out.parquet"]
    assert not verify_output(str(tmp_path / "o/out.parquet")).faults


def test_lines_are_joined_too(encode, tmp_path, out):
    encode("jsonl", out, part_rows=13, format=OutputFormat.JSONL)
    lines = (tmp_path / "o/out.parquet").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == list(range(ROWS))


@pytest.mark.parametrize("stop_at", [1, 20, 45])
def test_a_job_goes_on_from_the_parts_that_it_has(encode, tmp_path, out, stop_at, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.plan.MAX_WINDOW_ROWS", 3)
    with pytest.raises(StoppedError):
        encode("jsonl", out, stop_at, part_rows=20)
    assert not (tmp_path / "o/out.parquet").exists()
    report = encode("jsonl", out, part_rows=20, resume=True)
    assert report.rows_out == ROWS
    encode("jsonl", f"{tmp_path}/one.parquet")
    made = pq.read_table(tmp_path / "o/out.parquet")
    assert made["id"].equals(pq.read_table(tmp_path / "one.parquet")["id"])
    assert names(tmp_path / "o") == ["out.parquet"]


def test_another_job_is_named_and_left(encode, tmp_path, out):
    with pytest.raises(StoppedError):
        encode("jsonl", out, 1, part_rows=20)
    with pytest.raises(OutputError, match="has another job: normalize was False, and is True"):
        encode("jsonl", out, part_rows=20, normalize=True, resume=True)
    with pytest.raises(OutputError, match=r"has . of 3 parts of a job that did not end") as raised:
        encode("jsonl", out, part_rows=20)
    assert raised.value.hint == "--resume goes on with it, --overwrite starts again"
    assert encode("jsonl", out, part_rows=20, overwrite=True).rows_out == ROWS
    assert names(tmp_path / "o") == ["out.parquet"]


def test_a_file_that_is_there_is_replaced_only_where_that_was_asked_for(encode, tmp_path, out):
    (tmp_path / "o/out.parquet").write_text("precious")
    for resume in (False, True):
        with pytest.raises(OutputError, match="exists"):
            encode("jsonl", out, part_rows=20, resume=resume)
    with pytest.raises(StoppedError):
        encode("jsonl", out, 1, part_rows=20, overwrite=True)
    assert (tmp_path / "o/out.parquet").read_text() == "precious"
    assert encode("jsonl", out, part_rows=20, resume=True).rows_out == ROWS
    assert pq.read_metadata(tmp_path / "o/out.parquet").num_rows == ROWS


def test_rejected_rows_are_beside_the_file(encode, tmp_path, out):
    lines = "".join(json.dumps({"id": n, "token_ids": [n]}) + "\n" for n in (5, 9_999, 6, 9_998))
    (tmp_path / "bad.jsonl").write_text(lines)
    bad = {"inputs": (f"{tmp_path}/bad.jsonl",), "on_error": OnError.QUARANTINE, "part_rows": 1}
    report = encode("jsonl", out, **bad)
    assert (report.rows_out, report.rows_rejected) == (2, 2)
    assert names(tmp_path / "o") == ["out.parquet", "out.parquet.rejected.jsonl"]
    rejected = (tmp_path / "o/out.parquet.rejected.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in rejected] == [2, 4]


def test_one_process_goes_on_with_what_several_have_begun(encode, tmp_path):
    out = f"{tmp_path}/out.parquet"
    with pytest.raises(StoppedError):
        encode("jsonl", out, 20, part_rows=20)
    check = verify_output(out)
    assert check.unfinished_job
    assert check.unfinished_rows >= 20
    with pytest.raises(OutputError, match="parts of a job that did not end"):
        encode("jsonl", out)
    with pytest.raises(OutputError, match="part rows was 20"):  # how it is cut decides its batches
        encode("jsonl", out, resume=True)


def test_several_do_not_take_over_what_one_process_has_begun(encode, tmp_path, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.plan.MAX_WINDOW_ROWS", 7)
    out = f"{tmp_path}/out.parquet"
    with pytest.raises(StoppedError):
        encode("jsonl", out, 20)
    with pytest.raises(OutputError, match="a job that was begun by one process") as raised:
        encode("jsonl", out, part_rows=20, resume=True)
    assert "without --workers" in raised.value.hint
    assert encode("jsonl", out, resume=True).rows_resumed >= 20


def test_more_than_one_object_can_have_is_refused_before_any_work(encode, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.plan._MOST_IN_S3", 1000)
    with pytest.raises(UsageError, match="one object of S3 is written up to 1.0 kB") as raised:
        encode("parquet", "s3://bucket/out.parquet")
    assert "end the output with a slash" in raised.value.hint
