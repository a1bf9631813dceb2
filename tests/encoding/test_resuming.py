"""A job that stops goes on: with any input, at any window, to the same bytes."""

from __future__ import annotations

from copy import copy
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from job_cases import CASES, ROWS
from texts import write_text_preset

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import EncodeOptions, Pooling
from fnet_cli.encoding.output.opening import Kept
from fnet_cli.encoding.report import EncodeReport
from fnet_cli.errors import InputDataError, OutputError, StoppedError


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.plan.WINDOW_TOKENS", 60)
    monkeypatch.setattr("fnet_cli.encoding.plan.MAX_WINDOW_ROWS", 7)


ENGINES: dict[Pooling, Engine] = {}


class Runs:
    """Runs one job again and again, each time up to another row."""

    def __init__(self, preset: Path, sources: Path, case: str, directory: Path) -> None:
        names, self._how = CASES[case]
        names = names if isinstance(names, list) else [names]
        self._inputs = tuple(str(sources / name) for name in names)
        self._preset, self._directory = str(preset), directory
        self._suffix = "jsonl" if case == "to-jsonl" else "parquet"
        self.kept: list[Kept] = []
        self.embedded: list[int] = []

    def _engine(self, request: EngineRequest) -> Engine:
        """Return the real engine, loaded once for all runs, which counts its rows."""
        if request.pooling not in ENGINES:
            ENGINES[request.pooling] = load_engine(request)
        engine = copy(ENGINES[request.pooling])
        embed = engine.embed
        engine.embed = lambda batch: self.embedded.append(len(batch.rows)) or embed(batch)
        return engine

    def output(self, name: str) -> Path:
        return self._directory / f"{name}.{self._suffix}"

    def run(self, name: str, stop_at: float = float("inf"), **changes) -> EncodeReport:
        """Encode; from the row `stop_at` of this run on, it is asked to stop."""
        done = 0

        def count(progress) -> None:
            nonlocal done
            done = progress.rows - progress.rows_resumed

        context = JobContext(
            settings=Settings(),
            engine_loader=self._engine,
            on_progress=count,
            on_kept=self.kept.append,
            is_stopping=lambda: done >= stop_at,
        )
        how = {"preset": self._preset, "batch_size": 4, "sequence_length": 16, **self._how}
        options = EncodeOptions(self._inputs, str(self.output(name)), **{**how, **changes})
        return encode_files(options, context)

    def content(self, name: str):
        path = self.output(name)
        return path.read_bytes() if path.suffix == ".jsonl" else pq.read_table(path)


@pytest.mark.parametrize("case", CASES)
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_job_that_is_stopped_at_any_rows_equals_one_that_is_not(
    preset, sources, tmp_path_factory, case, data
):
    runs = Runs(preset, sources, case, tmp_path_factory.mktemp("runs"))
    whole = runs.run("whole")
    for _ in range(data.draw(st.integers(1, 5), "stops")):
        try:
            report = runs.run("out", data.draw(st.integers(1, 25), "rows"), resume=True)
        except StoppedError:
            assert not runs.output("out").exists()
        else:
            break
    else:
        report = runs.run("out", resume=True)
    assert report.rows_resumed == (runs.kept[-1].rows if runs.kept else 0)
    assert runs.content("out") == runs.content("whole")
    for count in ("rows_in", "rows_out", "rows_rejected", "rows_truncated", "tokens",
                  "tokens_lost", "documents"):  # fmt: skip
        assert getattr(report, count) == getattr(whole, count), count


def test_rates_are_of_what_a_run_has_encoded(preset, sources, tmp_path):
    runs = Runs(preset, sources, "parquet", tmp_path)
    with pytest.raises(StoppedError):
        runs.run("out", 20)
    report = runs.run("out", resume=True)
    rows, tokens = report.rows_out - report.rows_resumed, report.tokens - report.tokens_resumed
    assert 0 < rows < ROWS
    assert report.rows_per_second * report.working_seconds == pytest.approx(rows)
    assert report.tokens_per_second * report.working_seconds == pytest.approx(tokens)


def test_rows_that_are_written_are_not_encoded_again(preset, sources, tmp_path):
    runs = Runs(preset, sources, "parquet", tmp_path)
    with pytest.raises(StoppedError):
        runs.run("out", 20)
    runs.run("out", resume=True)
    assert sum(runs.embedded) == ROWS


def test_an_input_that_changes_is_not_mixed_with_what_it_was(preset, sources, tmp_path):
    source = tmp_path / "tokens.jsonl"
    source.write_bytes((sources / "tokens.jsonl").read_bytes())
    runs = Runs(preset, tmp_path, "jsonl", tmp_path)
    with pytest.raises(StoppedError):
        runs.run("out", 20)
    with source.open("a") as file:
        file.write('{"id": 99, "token_ids": [1]}\n')
    with pytest.raises(OutputError, match=r"tokens\.jsonl has changed"):
        runs.run("out", resume=True)
    assert runs.run("out", overwrite=True).rows_out == ROWS + 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"pooling": Pooling.CLS}, "pooling was pooled, and is cls"),
        ({"sequence_length": 12}, "sequence length was 16, and is 12"),
        ({"normalize": True}, "normalize was False, and is True"),
        ({"columns": ()}, "columns was ['id'], and is []"),
        ({"limit": 50}, "limit was None, and is 50"),
        ({"batch_size": 8}, "batch size was 4, and is 8"),
    ],
)
def test_another_flag_is_named(preset, sources, tmp_path, change, said):
    runs = Runs(preset, sources, "parquet", tmp_path)
    with pytest.raises(StoppedError):
        runs.run("out", 20)
    with pytest.raises(OutputError) as caught:
        runs.run("out", resume=True, **change)
    assert said in str(caught.value)


def test_a_bad_row_keeps_the_rows_before_it(preset, sources, tmp_path):
    lines = (sources / "tokens.jsonl").read_text().splitlines()
    lines[50] = '{"id": 50, "token_ids": [-1]}'
    (tmp_path / "tokens.jsonl").write_text("\n".join(lines) + "\n")
    runs = Runs(preset, tmp_path, "jsonl", tmp_path)
    with pytest.raises(InputDataError, match="line 51"):
        runs.run("out")
    assert 0 < runs.kept[0].rows < 51
