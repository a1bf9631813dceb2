"""What is timed: each contender prepares once, then encodes the same rows on demand."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

# The seeded weights and transformers' names for them are the tests'.
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

THREADS = 2


@dataclass(frozen=True)
class Job:
    """The rows and the preset, the same for every contender."""

    preset: Path
    tokens: Path
    batch_size: int


@dataclass(frozen=True)
class Round:
    """One timed pass: seconds, and the pooled outputs (rows, H)."""

    seconds: float
    pooled: np.ndarray


Prepared = Callable[[], Round]


def _rows(job: Job) -> np.ndarray:
    import pyarrow.parquet as pq

    column = pq.read_table(job.tokens)["token_ids"].combine_chunks()
    return np.asarray(column.flatten()).reshape(len(column), -1).astype(np.int32)


def _timed(work: Callable[[], np.ndarray]) -> Round:
    started = time.perf_counter()
    pooled = work()
    return Round(time.perf_counter() - started, pooled)


def prepare_engine(job: Job) -> Prepared:
    """Prepare this project's batching and engine, without reading and writing."""
    from fnet_cli.config import Settings
    from fnet_cli.encoding.batching import BatchShape, batches
    from fnet_cli.encoding.engine import EngineRequest, load_engine
    from fnet_cli.encoding.options import ComputeDtype, Padding, Pooling
    from fnet_cli.encoding.rows import TokenRows
    from fnet_cli.presets.resolving import resolve_preset

    preset = resolve_preset(str(job.preset), Settings())
    engine = load_engine(
        EngineRequest(preset, Pooling.POOLED, ComputeDtype.FLOAT32, "cpu", job.batch_size)
    )
    ids = _rows(job)
    count, width = ids.shape
    tokens = TokenRows(ids.reshape(-1), np.arange(count) * width, np.full(count, width))
    shape = BatchShape(job.batch_size, Padding.MAX, width, None)

    def run() -> np.ndarray:
        pooled = np.empty((count, preset.config.hidden_dim), np.float32)
        for batch in batches(tokens, None, shape):
            pooled[batch.rows] = engine.embed(batch)
        return pooled

    return lambda: _timed(run)


def prepare_job(job: Job) -> Prepared:
    """Prepare this project's whole job, Parquet to Parquet; timed after its start-up."""
    import pyarrow.parquet as pq

    from fnet_cli.encoding.engine import Engine, EngineRequest, load_engine
    from fnet_cli.encoding.job import JobContext, encode_files
    from fnet_cli.encoding.options import EncodeOptions

    loaded: list[Engine] = []

    def load_once(request: EngineRequest) -> Engine:
        if not loaded:
            loaded.append(load_engine(request))
        return loaded[0]

    output = job.tokens.with_name("out.parquet")
    options = EncodeOptions(
        (str(job.tokens),), str(output), preset=str(job.preset), batch_size=job.batch_size,
        sequence_length=_rows(job).shape[1], overwrite=True, device="cpu",
    )  # fmt: skip

    def run() -> Round:
        report = encode_files(options, JobContext(engine_loader=load_once))
        column = pq.read_table(output)["embedding"].combine_chunks()
        pooled = column.flatten().to_numpy().reshape(len(column), -1)
        return Round(report.encode_seconds, pooled)

    return run


def prepare_keras_hub(job: Job) -> Prepared:
    """Prepare keras_hub's FNetBackbone.predict on TensorFlow."""
    import keras_hub

    model = keras_hub.models.FNetBackbone.from_preset(str(job.preset))
    ids = _rows(job)
    inputs = {"token_ids": ids, "segment_ids": np.zeros_like(ids)}

    def run() -> np.ndarray:
        outputs: np.ndarray = model.predict(inputs, batch_size=job.batch_size, verbose=0)[
            "pooled_output"
        ]
        return outputs

    return lambda: _timed(run)


def prepare_transformers(job: Job) -> Prepared:
    """Prepare transformers' FNetModel, eager torch."""
    import torch
    import transformers
    from transformers_model import fnet_model, run_fnet_model

    from fnet_cli.config import Settings
    from fnet_cli.presets.layouts.keras_h5 import WeightReader
    from fnet_cli.presets.resolving import resolve_preset

    torch.set_num_threads(THREADS)
    config = resolve_preset(str(job.preset), Settings()).config
    with WeightReader(job.preset, config) as reader:
        model = fnet_model(transformers, config, dict(reader.tensors()))
    ids = _rows(job).astype(np.int64)

    def run() -> np.ndarray:
        parts = []
        for start in range(0, len(ids), job.batch_size):
            part = ids[start : start + job.batch_size]
            inputs = {"token_ids": part, "segment_ids": np.zeros_like(part)}
            parts.append(run_fnet_model(model, inputs)["pooled_output"])
        return np.concatenate(parts)

    return lambda: _timed(run)


CONTENDERS: dict[str, Callable[[Job], Prepared]] = {
    "fnet engine": prepare_engine,
    "fnet encode": prepare_job,
    "keras_hub predict": prepare_keras_hub,
    "transformers eager": prepare_transformers,
}


def serve(name: str, job: Job, connection: Connection) -> None:
    """Prepare a contender, then answer every message with one `Round`; None ends it."""
    os.environ.update(
        KERAS_BACKEND="tensorflow",
        TF_CPP_MIN_LOG_LEVEL="3",
        OMP_NUM_THREADS=str(THREADS),
        TF_NUM_INTRAOP_THREADS=str(THREADS),
        TF_NUM_INTEROP_THREADS=str(THREADS),
    )
    answer: Any
    try:
        prepared = CONTENDERS[name](job)
        prepared()  # compiles and warms up
        answer = "ready"
    except ModuleNotFoundError as error:
        answer = f"left out: {error}"
    connection.send(answer)
    while answer == "ready" and connection.recv() is not None:
        connection.send(prepared())
