"""Processes that divide the parts of a job: nothing of it depends on them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_preset
from jobs import CONFIG, PAD

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.fragments import Fragment
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import EncodeOptions, Padding
from fnet_cli.encoding.output.parts import PartRecord
from fnet_cli.encoding.report import EncodeReport
from fnet_cli.encoding.supervising import WorkersDiedError
from fnet_cli.encoding.workers import _Pool
from fnet_cli.errors import DeviceMemoryError, InputDataError

ROWS = 600


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("preset")
    write_preset(directory, CONFIG)
    return directory


@pytest.fixture(scope="module")
def tokens(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.parquet"
    rng = np.random.default_rng(5)
    ids = [rng.integers(0, 60, rng.integers(1, 60)).tolist() for _ in range(ROWS)]
    pq.write_table(pa.table({"id": range(ROWS), "token_ids": ids}), path)
    return path


def encode(preset: Path, tokens: Path, output: Path, **options) -> EncodeReport:
    context = JobContext(settings=Settings(), on_progress=options.pop("on_progress", print))
    how = {"preset": str(preset), "pad_id": PAD, "padding": Padding.BUCKET, "part_rows": 60}
    return encode_files(EncodeOptions((str(tokens),), f"{output}/", **{**how, **options}), context)


def workers() -> list[psutil.Process]:
    """Return the processes of this one that encode."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # one that has just ended
            if any("spawn_main" in argument for argument in child.cmdline()):
                found.append(child)
    return found


def test_two_processes_make_what_one_makes(preset, tokens, tmp_path):
    shown = []
    one = encode(preset, tokens, tmp_path / "one")
    two = encode(preset, tokens, tmp_path / "two", workers=2, on_progress=shown.append)
    assert pq.read_table(tmp_path / "two").equals(pq.read_table(tmp_path / "one"))
    assert (two.rows_out, two.tokens, two.device) == (one.rows_out, one.tokens, "cpu")
    assert sorted(progress.rows for progress in shown) == [progress.rows for progress in shown]
    assert workers() == []


def test_a_bad_row_is_named_as_by_one_process_and_the_rest_is_kept(preset, tmp_path):
    bad = tmp_path / "bad.parquet"
    ids = [[999] if row == 150 else [5] for row in range(ROWS)]
    pq.write_table(pa.table({"token_ids": ids}), bad)
    with pytest.raises(InputDataError, match=r"bad.parquet: row 150: .*999") as raised:
        encode(preset, bad, tmp_path / "out", workers=2)
    assert "--on-error" in raised.value.hint
    assert (tmp_path / "out/part-00000.parquet").exists()
    assert workers() == []


def kill_when(is_time, count: int = 1) -> threading.Thread:
    """Kill so many encoding processes, each when `is_time` says so."""

    def run() -> None:
        for _ in range(count):
            deadline = time.monotonic() + 60
            seen: list[psutil.Process] = []
            while time.monotonic() < deadline and not (seen and is_time()):
                time.sleep(0.02)
                seen = workers()
            for process in seen[:1]:
                os.kill(process.pid, signal.SIGKILL)
            time.sleep(1.5)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_process_that_is_killed_loses_no_row_and_doubles_none(preset, tokens, tmp_path):
    encode(preset, tokens, tmp_path / "one")
    has_part = lambda: any((tmp_path / "two").glob("part-*"))  # noqa: E731
    killer = kill_when(has_part)
    report = encode(preset, tokens, tmp_path / "two", workers=2)
    killer.join()
    assert (report.rows_out, report.rows_resumed) == (ROWS, 0)
    assert pq.read_table(tmp_path / "two").equals(pq.read_table(tmp_path / "one"))


def test_processes_that_die_again_and_again_end_the_job(preset, tokens, tmp_path):
    killer = kill_when(lambda: True, count=3)
    with pytest.raises(DeviceMemoryError, match="processes died 3 times") as raised:
        encode(preset, tokens, tmp_path / "two", workers=2)
    killer.join()
    assert "fewer --workers" in raised.value.hint
    assert not (tmp_path / "two/_SUCCESS").exists()


def test_a_fragment_that_no_process_is_left_for_is_lost_as_one_whose_process_died(tmp_path):
    executor = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    with pytest.raises(BrokenProcessPool):
        executor.submit(os._exit, 1).result()
    pool = _Pool(executor, SimpleNamespace(workers=1, logs=tmp_path))
    task = pool.submit(Fragment(0, 0, 1), PartRecord(), {})
    with pytest.raises(WorkersDiedError):
        pool.result(task)
