"""A bench counts what it runs, and its floor makes exactly the products that are needed."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from builders import TINY
from hypothesis import given, settings
from hypothesis import strategies as st

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import layer_table, parameter_count
from fnet_cli.config import Settings
from fnet_cli.encoding.batching import Batch, BatchShape, padded_lengths
from fnet_cli.encoding.bench import BenchContext, BenchOptions, machine, run_bench
from fnet_cli.encoding.engine.floor import Floor, chain, products
from fnet_cli.encoding.options import ComputeDtype, Padding
from fnet_cli.errors import DeviceMemoryError, UsageError
from fnet_cli.presets.resolving import resolve_preset

SIZES = st.integers(1, 50)


class Engine:
    """An engine that embeds nothing and keeps what it was given."""

    backend, device, mixing = "tensorflow", "cpu", "rfft"
    workers, batch_tokens = 2, 96

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.threads: set[int] = set()

    def embed(self, batch: Batch) -> np.ndarray:
        self.batches.append(batch)
        self.threads.add(threading.get_ident())
        return np.zeros((len(batch.rows), 1), np.float32)


def batch_of(rows: int, width: int) -> Batch:
    ids = np.zeros((rows, width), np.int32)
    return Batch(np.arange(rows), ids, ids, np.full(rows, width, np.int32), rows)


def measured(preset, engine: Engine, heard=lambda event: None, **options):
    found = resolve_preset(str(preset), Settings())
    made = BenchOptions(**{"seconds": 0.03, **options})
    return run_bench(found, made, BenchContext(lambda request: engine, heard))


# --- The floor ------------------------------------------------------------------------------


@given(layers=SIZES, hidden=SIZES, inner=SIZES, tokens=SIZES, rows=SIZES)
def test_the_floor_counts_every_kernel_and_the_late_ones_once_a_row(
    layers, hidden, inner, tokens, rows
):
    config = BackboneConfig(60, layers, hidden, inner)
    feed_forward = 2 * hidden * inner
    per_token = hidden * hidden + (layers - 1) * feed_forward
    per_row = feed_forward + hidden * hidden
    wanted = products(config)
    assert wanted.operations(tokens, rows) == 2 * (tokens * per_token + rows * per_row)
    others = sum(
        parameter.size
        for layer in layer_table(config)
        for parameter in layer.parameters
        if parameter.name != "kernel"
    )
    assert wanted.operations(1, 1) == 2 * (parameter_count(config) - others)


def test_a_compiler_leaves_no_product_out():
    jax = pytest.importorskip("jax", reason="the compiler that is asked is jax's")
    wanted = products(replace(TINY, num_layers=3))
    kernels = [[np.ones(size, np.float32) for size in part]
               for part in (wanted.of_tokens, wanted.of_rows)]  # fmt: skip
    x = np.ones((48, TINY.hidden_dim), np.float32)
    compiled = jax.jit(chain, static_argnums=1).lower(x, 4, *kernels).compile()
    assert compiled.cost_analysis()["flops"] == wanted.operations(48, 4)


@pytest.mark.parametrize("dtype", ["float32", "float16", "mixed_bfloat16"])
def test_the_floor_runs_in_several_threads_in_every_dtype(dtype):
    floor = Floor(TINY, Engine(), ComputeDtype(dtype))
    failed = []

    def run() -> None:
        try:
            for width in (5, 9):
                floor.run(batch_of(4, width))
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failed


@pytest.mark.parametrize("layers", [1, 3])
def test_the_chain_has_a_result_for_all_tokens_and_one_for_the_rows(layers):
    wanted = products(replace(TINY, num_layers=layers))
    kernels = [[np.eye(*size) for size in part] for part in (wanted.of_tokens, wanted.of_rows)]
    x = np.arange(12 * TINY.hidden_dim).reshape(12, -1)
    every, first = chain(x, 3, *kernels)
    assert (every == x).all()
    assert (first == x[:3]).all()


def test_a_device_that_is_too_small_for_the_floor_is_told(monkeypatch):
    def full(tokens: int, rows: int) -> None:
        raise MemoryError

    monkeypatch.setattr("fnet_cli.encoding.engine.floor._on_device", lambda *_: full)
    floor = Floor(TINY, Engine(), ComputeDtype.AUTO)
    for _ in range(3):  # and it is free again afterwards
        with pytest.raises(DeviceMemoryError, match="cpu: .* products of 20 tokens"):
            floor.run(batch_of(4, 5))


# --- The bench ------------------------------------------------------------------------------


def test_equal_rows_are_full_batches_without_padding(preset):
    engine = Engine()
    report = measured(preset, engine, lengths=(8, 40))
    assert [(row.case, row.length) for row in report.rows[:2]] == [("equal", 8), ("equal", 40)]
    assert [(row.batch_rows, row.batch_tokens) for row in report.rows[:2]] == [(12, 96), (2, 80)]
    for width, rows in ((8, 12), (40, 2)):
        same = [batch for batch in engine.batches if batch.token_ids.shape == (rows, width)]
        assert any((batch.lengths == width).all() for batch in same)
    assert len(engine.threads) >= 2


def test_short_sentences_are_padded_to_buckets(preset):
    engine = Engine()
    report = measured(preset, engine, lengths=(8,))
    row = report.rows[-1]
    assert (row.case, row.padding, row.batch_rows, row.batch_tokens) == (
        "short",
        "bucket",
        None,
        96,
    )
    assert 20 <= row.length <= 26
    widths = {batch.token_ids.shape[1] for batch in engine.batches}
    shape = BatchShape(Padding.BUCKET, 48, 0)
    assert widths == {8, *padded_lengths(np.arange(4, 49), shape).tolist()}
    assert max(int(batch.token_ids.max()) for batch in engine.batches) == 59


def test_every_call_of_one_bench_is_of_the_same_rows_as_the_next(preset):
    seen = []
    for _ in range(2):
        engine = Engine()
        measured(preset, engine, lengths=(8,))
        # How many of the short ones get their turn is a matter of time; of these, all do.
        equal = [batch for batch in engine.batches if (batch.lengths == 8).all()]
        seen.append({batch.token_ids.tobytes() for batch in equal if len(batch.rows) == 12})
    assert len(seen[0]) == 2
    assert seen[0] == seen[1]


@settings(max_examples=3, deadline=None)
@given(lengths=st.lists(st.integers(1, 48), min_size=1, max_size=2))
def test_rates_and_shares_are_positive(preset, lengths):
    report = measured(preset, Engine(), lengths=tuple(lengths))
    assert [row.length for row in report.rows[:-1]] == list(dict.fromkeys(lengths))
    for row in report.rows:
        assert row.tokens_per_second > 0
        assert row.floor_tokens_per_second > 0
        # Of rates that were rounded: a model that does nothing is a thousand times the floor.
        assert row.floor_share == pytest.approx(
            row.tokens_per_second / row.floor_tokens_per_second, rel=1e-3, abs=2e-3
        )
        if row.case == "equal":
            assert row.tokens_per_second == pytest.approx(row.rows_per_second * row.length, rel=0.1)


def test_the_default_lengths_go_as_far_as_the_model(preset):
    assert [row.length for row in measured(preset, Engine()).rows[:-1]] == [32, 48]


def test_the_listener_hears_the_warm_up_and_every_slice(preset):
    heard = []
    measured(preset, Engine(), heard.append, lengths=(8,))
    assert [(event.case, event.number, event.total, event.slice) for event in heard] == [
        (case, number, 2, part)
        for number, case in enumerate(("equal", "short"), 1)
        for part in range(4)
    ]


@pytest.mark.parametrize("slice_number", [0, 2])
def test_the_listener_may_stop_it(preset, slice_number):
    def stop(event) -> None:
        if event.slice == slice_number:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measured(preset, Engine(), stop, lengths=(8,))


def test_what_a_worker_raises_ends_it(preset):
    engine = Engine()
    embed = engine.embed

    def failing(batch: Batch) -> np.ndarray:
        if len(engine.batches) > 8:
            raise DeviceMemoryError("full")
        return embed(batch)

    engine.embed = failing
    with pytest.raises(DeviceMemoryError, match="full"):
        measured(preset, engine, seconds=60, lengths=(8,))


@pytest.mark.parametrize("length", [0, 49])
def test_a_length_that_the_model_has_not_is_refused_before_it_is_loaded(preset, length):
    with pytest.raises(UsageError, match=rf"--lengths {length} is not in 1\.\.48"):
        measured(preset, None, lengths=(8, length))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_seconds_are_more_than_0(seconds):
    with pytest.raises(UsageError, match="--seconds must be more than 0"):
        BenchOptions(seconds=seconds)


def test_a_device_that_cannot_be_is_refused_at_once():
    with pytest.raises(UsageError, match="no device 'tpu'"):
        BenchOptions(device="tpu")


# --- The machine ----------------------------------------------------------------------------


def test_the_processor_is_read_from_its_file(tmp_path):
    path = tmp_path / "cpuinfo"
    one = "processor\t: {}\nmodel name\t: Fast {}\nflags\t\t: fpu avx512f amx_bf16\n\n"
    path.write_text(one.format(0, 0) + one.format(1, 1))
    found = machine(path)
    assert (found.processor, found.avx512, found.amx_bf16) == ("Fast 0", True, True)
    path.write_text("model name : Old\nflags : fpu avx512f_like\n")
    assert vars(machine(path)).items() >= {"avx512": False, "amx_bf16": False}.items()


def test_what_the_system_does_not_say_is_null(tmp_path):
    found = machine(tmp_path / "missing")
    assert (found.avx512, found.amx_bf16) == (None, None)
    assert found.cores >= 1
