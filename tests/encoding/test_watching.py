"""A limit on memory: what fits, what gives way, and what ends a job."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from jobs import PAD, run, vectors

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.devices import usable_cores
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.needing import check_memory, fit
from fnet_cli.encoding.options import EncodeOptions
from fnet_cli.encoding.plan import make_plan
from fnet_cli.encoding.watching import MemoryWatch, watched
from fnet_cli.errors import OutOfMemoryError

GB = 10**9


@pytest.fixture
def options(tokens, preset, tmp_path) -> EncodeOptions:
    return EncodeOptions((str(tokens),), str(tmp_path / "out"), preset=str(preset), pad_id=PAD)


def plan_of(options: EncodeOptions):
    return make_plan(options, Settings(), None)


def test_a_job_that_does_not_fit_is_refused_with_what_it_takes(options):
    out = f"{options.output}/"
    small = replace(options, output=f"{options.output}.parquet", memory_limit=GB // 2)
    with pytest.raises(OutOfMemoryError, match=r"takes about \d+MB, and --memory-limit is 500MB"):
        check_memory(plan_of(small))
    check_memory(plan_of(replace(small, memory_limit=2 * GB)))
    several = replace(options, output=out, workers=4, memory_limit=2 * GB)
    with pytest.raises(OutOfMemoryError, match="for 4 workers") as refused:
        check_memory(plan_of(several))
    enough = int(refused.value.hint.split()[3].rstrip("MB,")) * 10**6
    check_memory(plan_of(replace(several, memory_limit=enough)))


def test_less_memory_means_fewer_and_smaller_batches_and_the_same_windows(options):
    plan = plan_of(replace(options, output=f"{options.output}.parquet"))
    roomy, tight = fit(plan, 8 * GB), fit(plan, GB // 10)
    assert (tight.workers, tight.tokens) == (1, plan.typical_width)
    assert roomy.workers == usable_cores()
    assert roomy.tokens > 1024


class Engine:
    """Counts how often it gave way."""

    def __init__(self):
        self.times = 0

    def give_way(self) -> None:
        self.times += 1


def test_near_the_limit_batches_give_way_and_at_it_the_job_ends():
    used, engine = [500], Engine()
    watch = MemoryWatch(1000, lambda: used[0])
    watch.let_give_way(engine)
    watch.look()
    assert engine.times == 0
    used[0] = 920
    watch.look()
    assert engine.times == 1
    used[0] = 990
    watch.look()
    watch.check()  # what was given back may be on its way
    watch.look()
    with pytest.raises(OutOfMemoryError) as ended:
        watch.check()
    assert "--resume" in ended.value.hint


def test_memory_that_python_does_not_get_is_one_of_our_errors():
    with pytest.raises(OutOfMemoryError, match="memory ran out: no more"), watched(None):
        raise MemoryError("no more")


def test_a_job_that_gives_way_and_ends_goes_on_to_the_same_rows(options, tokens, tmp_path, preset):
    """The memory that it is said to have is first near the limit, then at it, then little."""
    options = replace(options, output=f"{options.output}.parquet", batch_size=8)
    used, looked = [950], threading.Event()

    def load(request):
        engine = load_engine(request)
        embed = engine.embed

        def slowly(batch):
            if looked.is_set():
                used[0] = 999
            looked.set()
            watch.look()
            return embed(batch)

        engine.embed = slowly
        return engine

    watch = MemoryWatch(1000, lambda: used[0])
    with pytest.raises(OutOfMemoryError):
        encode_files(options, JobContext(Settings(), engine_loader=load, memory=watch))
    encode_files(replace(options, resume=True), JobContext(Settings()))
    _, whole = run(preset, tokens, tmp_path / "whole.parquet", batch_size=8)
    made = pq.read_table(options.output)
    assert made.drop_columns("embedding").equals(whole.drop_columns("embedding"))
    assert np.abs(vectors(made) - vectors(whole)).max() < 2e-5
