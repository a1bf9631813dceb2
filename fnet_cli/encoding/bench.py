"""How fast this machine embeds, beside the matrix products that no machine can leave out."""

from __future__ import annotations

import math
import platform
import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.constants import MAX_WINDOW_ROWS, __version__
from fnet_cli.encoding.batching import Batch, BatchShape, BatchSize, batches
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.devices import parse_device, usable_cores
from fnet_cli.encoding.engine.floor import Floor
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.options import ComputeDtype, Padding, Pooling
from fnet_cli.encoding.rows import TokenRows
from fnet_cli.encoding.stages import Workers
from fnet_cli.errors import UsageError
from fnet_cli.presets.resolving import LocalPreset
from fnet_cli.processor import CPUINFO, read_processor

DEFAULT_LENGTHS = (32, 128, 512)
# Sentences as they come: few of them long.
_SHORT_MEAN, _SHORT_SPREAD, _SHORT_BOUNDS = 24, 0.6, (4, 128)
# Model and floor take turns, so that a busy moment of the machine hits one slice of each.
_SLICES = 3


@dataclass(frozen=True)
class BenchOptions:
    """What to measure. No `lengths` are 32, 128 and 512, as far as the model goes.

    `seconds` is how long the model is measured for each kind of rows, and the floor as long.
    Raises UsageError for seconds or a device that cannot be.
    """

    lengths: tuple[int, ...] = ()
    seconds: float = 2.0
    dtype: ComputeDtype = ComputeDtype.AUTO
    device: str = "auto"

    def __post_init__(self) -> None:
        if not 0 < self.seconds < math.inf:
            raise UsageError(f"--seconds must be more than 0, not {self.seconds:g}")
        parse_device(self.device)


@dataclass(frozen=True)
class Measuring:
    """What comes next: which of how many kinds of rows, and which slice; 0 is the warm-up."""

    case: str
    length: int
    number: int
    total: int
    slice: int


@dataclass(frozen=True)
class BenchContext:
    """The world around a bench: how a model is loaded, who listens, clock, processor's file."""

    engine_loader: Callable[[EngineRequest], Engine] = load_engine
    on_progress: Callable[[Measuring], None] = lambda _progress: None
    clock: Callable[[], float] = time.perf_counter
    cpuinfo: Path = CPUINFO


@dataclass(frozen=True)
class Machine:
    """The processor; its features are None where the system does not say them."""

    processor: str
    cores: int
    avx512: bool | None
    amx_bf16: bool | None


@dataclass(frozen=True)
class BenchRow:
    """One kind of rows: "equal" ones of one length without padding, or "short" sentences.

    `length` is the mean of real tokens a row, and the rates count real tokens. `batch_rows` is
    None where it depends on the padded length. `floor_share` is the model's rate over that of
    its matrix products alone.
    """

    case: str
    length: int
    padding: str
    dtype: str
    tokens_per_second: float
    rows_per_second: float
    mixing: str
    batch_rows: int | None
    batch_tokens: int
    workers: int
    floor_tokens_per_second: float
    floor_share: float


@dataclass(frozen=True)
class BenchReport:
    """What was measured, where and with what."""

    preset: str
    backend: str
    device: str
    dtype: str
    machine: Machine
    versions: dict[str, str]
    seconds: float
    rows: list[BenchRow] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as `--json` prints it: the machine's keys among the others."""
        record = asdict(self)
        machine, rows = record.pop("machine"), record.pop("rows")
        return {**record, **machine, "rows": rows}


def run_bench(
    preset: LocalPreset, options: BenchOptions, context: BenchContext | None = None
) -> BenchReport:
    """Measure the preset's model on seeded random rows of each length, and on short sentences.

    Raises UsageError for a length that the model has not or a device that is not there,
    PresetError, and DeviceMemoryError.
    """
    context = context or BenchContext()
    lengths = _lengths(preset, options)
    engine = context.engine_loader(
        EngineRequest(
            preset, Pooling.POOLED, options.dtype, options.device, fixed_shapes=True, one_shape=True
        )
    )
    racers = _racers(preset.config, engine, options.dtype)
    cases = [_equal_rows(length, preset.config, engine) for length in lengths]
    cases.append(_short_sentences(preset.config, engine))
    rows = []
    for number, case in enumerate(cases, 1):
        told = partial(Measuring, case.name, case.length, number, len(cases))
        rates = _measure(case, racers, _Turns(engine, options, context, told))
        rows.append(_row(case, engine, options, *rates))
    return BenchReport(
        preset=preset.handle,
        backend=engine.backend,
        device=engine.device,
        dtype=options.dtype.policy,
        machine=machine(context.cpuinfo),
        versions=_versions(engine.backend),
        seconds=options.seconds,
        rows=rows,
    )


def _lengths(preset: LocalPreset, options: BenchOptions) -> list[int]:
    most = preset.config.max_sequence_length
    for length in options.lengths:
        if not 1 <= length <= most:
            raise UsageError(
                f"--lengths {length} is not in 1..{most}, the positions of {preset.handle}"
            )
    wanted = options.lengths or tuple(min(length, most) for length in DEFAULT_LENGTHS)
    return list(dict.fromkeys(wanted))


# --- The rows -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """Rows of one kind in batches; the batches' own order does not matter."""

    name: str
    length: int
    padding: Padding
    batches: list[Batch]
    batch_rows: int | None
    batch_tokens: int


def _equal_rows(length: int, config: BackboneConfig, engine: Engine) -> _Case:
    """Return a full batch for each worker."""
    rows = BatchSize(engine.batch_tokens).rows_of(length)
    lengths = np.full(rows * engine.workers, length)
    made = _batches(lengths, Padding.NONE, config, engine)
    return _Case("equal", length, Padding.NONE, made, rows, rows * length)


def _short_sentences(config: BackboneConfig, engine: Engine) -> _Case:
    """Return the batches of a window of an encode job, and a batch for each worker at least."""
    count = max(MAX_WINDOW_ROWS, engine.workers * engine.batch_tokens // _SHORT_MEAN)
    lengths = np.minimum(short_lengths(count), config.max_sequence_length)
    made = _batches(lengths, Padding.BUCKET, config, engine)
    # In any order, so that a slice, however short, sees batches of every padded length.
    order = np.random.default_rng(2).permutation(len(made))
    shuffled = [made[index] for index in order]
    mean = round(float(lengths.mean()))
    return _Case("short", mean, Padding.BUCKET, shuffled, None, engine.batch_tokens)


def short_lengths(rows: int) -> np.ndarray:
    """Return seeded lengths (N,) as sentences have them: a mean of 24 tokens, few long ones."""
    center = math.log(_SHORT_MEAN) - _SHORT_SPREAD**2 / 2
    drawn = np.random.default_rng(0).lognormal(center, _SHORT_SPREAD, rows)
    lengths: np.ndarray = np.clip(drawn.round().astype(np.int64), *_SHORT_BOUNDS)
    return lengths


def _batches(
    lengths: np.ndarray, padding: Padding, config: BackboneConfig, engine: Engine
) -> list[Batch]:
    rng = np.random.default_rng(1)
    ids = rng.integers(0, config.vocabulary_size, int(lengths.sum()), dtype=np.int32)
    rows = TokenRows(ids, np.cumsum(lengths) - lengths, lengths)
    # With which id is padded makes no difference to the time.
    shape = BatchShape(padding, config.max_sequence_length, pad_id=0)
    return list(batches(rows, None, shape, BatchSize(engine.batch_tokens)))


# --- The measurement ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rate:
    """Real tokens and rows a second."""

    tokens: float
    rows: float


@dataclass(frozen=True)
class _Racer:
    """What is timed: a call on a batch, and in which shape a batch is computed."""

    call: Callable[[Batch], object]
    shape_of: Callable[[Batch], tuple[int, ...]]


def _racers(config: BackboneConfig, engine: Engine, dtype: ComputeDtype) -> tuple[_Racer, ...]:
    floor = Floor(config, engine, dtype)
    return (
        # With fixed shapes the engine fills a batch up.
        _Racer(engine.embed, lambda batch: (batch.capacity, batch.token_ids.shape[1])),
        _Racer(floor.run, lambda batch: batch.token_ids.shape),
    )


class _Turns:
    """Calls on batches in the engine's workers, timed."""

    def __init__(
        self,
        engine: Engine,
        options: BenchOptions,
        context: BenchContext,
        told: Callable[[int], Measuring],
    ) -> None:
        self.seconds = options.seconds / _SLICES
        self._threads = engine.workers
        self._clock = context.clock
        self._tell = context.on_progress
        self._told = told
        self._stopped = threading.Event()

    def announce(self, slice_number: int) -> None:
        """Say what comes next."""
        self._tell(self._told(slice_number))

    def warm_up(self, racer: _Racer, case: _Case) -> None:
        """Let every worker run a batch of every shape, which compiles what must be."""
        shapes = {racer.shape_of(batch): batch for batch in case.batches}
        with Workers[object](self._threads) as workers:
            for batch in shapes.values():
                for _ in range(self._threads):
                    workers.submit(partial(racer.call, batch))
            while len(workers):
                workers.result()

    def rate(self, racer: _Racer, waiting: queue.SimpleQueue[Batch]) -> _Rate:
        """Return how fast the workers take batches off the queue, to whose end they go back."""
        end = self._clock() + self.seconds
        with Workers[_Rate](self._threads) as workers:
            try:
                for _ in range(self._threads):
                    workers.submit(partial(self._lap, racer.call, waiting, end))
                # A worker's own time: none counts that it waits for the others' last batches.
                laps = [workers.result() for _ in range(self._threads)]
            except BaseException:
                self._stopped.set()
                raise
        return _Rate(sum(lap.tokens for lap in laps), sum(lap.rows for lap in laps))

    def _lap(
        self, call: Callable[[Batch], object], waiting: queue.SimpleQueue[Batch], end: float
    ) -> _Rate:
        begun = now = self._clock()
        tokens = rows = 0
        while not rows or (now < end and not self._stopped.is_set()):
            batch = waiting.get()
            try:
                call(batch)
            finally:
                waiting.put(batch)
            tokens += int(batch.lengths.sum())
            rows += len(batch.rows)
            now = self._clock()
        seconds = max(now - begun, 1e-9)
        return _Rate(tokens / seconds, rows / seconds)


def _measure(case: _Case, racers: tuple[_Racer, ...], turns: _Turns) -> list[_Rate]:
    """Return each one's median rate over slices in which they take turns."""
    turns.announce(0)
    waiting: list[queue.SimpleQueue[Batch]] = []
    for racer in racers:
        turns.warm_up(racer, case)
        waiting.append(queue.SimpleQueue())
        for batch in case.batches:
            waiting[-1].put(batch)
    slices = []
    for number in range(1, _SLICES + 1):
        turns.announce(number)
        slices.append([turns.rate(*pair) for pair in zip(racers, waiting, strict=True)])
    return [
        sorted(rates, key=lambda rate: rate.tokens)[_SLICES // 2]
        for rates in zip(*slices, strict=True)
    ]


def _row(
    case: _Case, engine: Engine, options: BenchOptions, model: _Rate, floor: _Rate
) -> BenchRow:
    return BenchRow(
        case=case.name,
        length=case.length,
        padding=case.padding.value,
        dtype=options.dtype.policy,
        tokens_per_second=round(model.tokens, 1),
        rows_per_second=round(model.rows, 1),
        mixing=engine.mixing,
        batch_rows=case.batch_rows,
        batch_tokens=case.batch_tokens,
        workers=engine.workers,
        floor_tokens_per_second=round(floor.tokens, 1),
        floor_share=round(model.tokens / floor.tokens, 3),
    )


# --- The machine ----------------------------------------------------------------------------


def machine(cpuinfo: Path = CPUINFO) -> Machine:
    """Return what the system says of the processor; `cpuinfo` is Linux' file about it."""
    found = read_processor(cpuinfo)
    has = found.features
    return Machine(
        found.name or platform.processor() or platform.machine(),
        usable_cores(),
        None if has is None else "avx512f" in has,
        None if has is None else "amx_bf16" in has,
    )


def _versions(backend: str) -> dict[str, str]:
    """Return the versions of what the running model is made of, each imported by now."""
    names = ("keras", backend, "numpy")
    python = ".".join(map(str, sys.version_info[:3]))
    loaded = {name: str(sys.modules[name].__version__) for name in names}
    return {"fnet": __version__, **loaded, "python": python}
