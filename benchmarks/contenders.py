"""The contenders: fnet and its peers. Each prepares once, then encodes the same rows on demand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import inputs
import numpy as np
from inputs import PAD_ID
from racing import THREADS, Contender, Job, Round, Variants, timed

if TYPE_CHECKING:
    from fnet_cli.encoding.batching import Batch
    from fnet_cli.encoding.engine.base import Engine, EngineRequest


# --- This project ---------------------------------------------------------------------------


def load_alone(request: EngineRequest) -> Engine:
    """Load an engine as the program does: it may set what holds for the whole process."""
    from fnet_cli.encoding.engine.loading import load_engine

    return load_engine(replace(request, own_process=True, only_model=True))


class LoadOnce:
    """A loader that gives the first engine every time, as `wrap` made it."""

    def __init__(
        self,
        load: Callable[[EngineRequest], Any] = load_alone,
        wrap: Callable[[Any], Any] = lambda engine: engine,
    ) -> None:
        self._load = load
        self._wrap = wrap
        self.engine: Any = None

    def __call__(self, request: EngineRequest) -> Any:
        """Return the engine."""
        if self.engine is None:
            self.engine = self._wrap(self._load(request))
        return self.engine


def make_batches(rows: list[np.ndarray], size: int, limit: int | None) -> list[Batch]:
    """Return the rows in batches of `size` tokens.

    Padded to `limit`, or to buckets where it is None.
    """
    from fnet_cli.encoding.batching import BatchShape, BatchSize, batches
    from fnet_cli.encoding.options import Padding
    from fnet_cli.encoding.rows import TokenRows

    lengths = np.array([len(row) for row in rows])
    tokens = TokenRows(np.concatenate(rows), np.cumsum(lengths) - lengths, lengths)
    padding = Padding.MAX if limit else Padding.BUCKET
    shape = BatchShape(padding, limit or 1 << 20, PAD_ID)
    return list(batches(tokens, None, shape, BatchSize(size)))


def embed_all(engine: Engine, made: list[Batch], out: np.ndarray) -> np.ndarray:
    """Fill `out` (rows, H) with the embeddings of the batches, the engine's workers at work."""
    from fnet_cli.encoding.stages import Workers

    with Workers[np.ndarray](engine.workers) as workers:
        for batch in made:
            workers.submit(partial(engine.embed, batch))
        for batch in made:
            out[batch.rows] = workers.result()
    return out


def prepare_engine(job: Job) -> Variants:
    """Prepare this project's batching and engine, without reading and writing."""
    from fnet_cli.encoding.engine.base import EngineRequest
    from fnet_cli.encoding.options import ComputeDtype, Pooling

    preset = inputs.preset_at(job.preset)
    dtype = ComputeDtype(job.dtype)
    engine = load_alone(
        EngineRequest(
            preset, Pooling.POOLED, dtype, job.device, fixed_shapes=True, one_shape=not job.short
        )
    )
    rows = inputs.read_rows(job.tokens)
    limit = None if job.short else len(rows[0])
    hidden_dim = preset.config.hidden_dim

    def run() -> np.ndarray:
        made = make_batches(rows, engine.batch_tokens, limit)
        return embed_all(engine, made, np.empty((len(rows), hidden_dim), np.float32))

    return {f"{engine.workers} workers x {engine.batch_tokens} tokens": timed(run)}


def prepare_job(job: Job) -> Variants:
    """Prepare this project's whole job, Parquet to Parquet; timed after its start-up."""
    import pyarrow.parquet as pq

    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.job import encode_files
    from fnet_cli.encoding.options import ComputeDtype, EncodeOptions, Padding, Pooling

    output = job.tokens.with_name("out.parquet")
    most = inputs.preset_at(job.preset).config.max_sequence_length
    # Nothing is left to what a preset recommends: the others know none of it.
    options = EncodeOptions(
        (str(job.tokens),), str(output), preset=job.preset, pad_id=PAD_ID, overwrite=True,
        pooling=Pooling.POOLED, normalize=False,
        padding=Padding.BUCKET if job.short else Padding.MAX, dtype=ComputeDtype(job.dtype),
        sequence_length=most if job.short else len(inputs.read_rows(job.tokens)[0]),
        device=job.device,
    )  # fmt: skip
    context = JobContext(engine_loader=LoadOnce())

    def run() -> Round:
        report = encode_files(options, context)
        column = pq.read_table(output)["embedding"].combine_chunks()
        pooled = column.flatten().to_numpy().reshape(len(column), -1)
        return Round(report.working_seconds, pooled)

    return {"": run}


# --- Peers ----------------------------------------------------------------------------------


def padded(rows: list[np.ndarray]) -> np.ndarray:
    """Return the rows as one array, padded to the longest."""
    ids = np.full((len(rows), max(map(len, rows))), PAD_ID, np.int32)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = row
    return ids


def prepare_keras_hub(job: Job) -> Variants:
    """Prepare keras_hub's FNetBackbone, `predict`, every row padded to the longest."""
    import keras
    import keras_hub

    model = keras_hub.models.FNetBackbone.from_preset(job.preset, dtype=job.dtype)
    ids = padded(inputs.read_rows(job.tokens))
    given = {"token_ids": ids, "segment_ids": np.zeros_like(ids)}

    def variant(batch_size: int) -> Callable[[], np.ndarray]:
        # A model of its own, of the same weights: so each has its own compiled function, and
        # returns nothing but what is wanted.
        pooled = keras.Model(model.input, model.output["pooled_output"])
        return lambda: np.asarray(
            pooled.predict(given, batch_size=batch_size, verbose=0), np.float32
        )

    return {f"batch {size}": timed(variant(size)) for size in job.batch_sizes}


def _torch_model(job: Job) -> Any:
    """Return transformers' FNetModel on the job's device and in its dtype."""
    import torch
    import transformers
    from transformers_model import fnet_model

    torch.set_num_threads(THREADS)
    preset = inputs.preset_at(job.preset)
    with preset.open_weights() as source:
        model = fnet_model(transformers, preset.config, dict(source.tensors()))
    model = model.to(device=_torch_device(job), dtype=getattr(torch, job.dtype))
    if job.dtype != "float32":
        # torch has no transform in half precision, and so transformers runs in none as it is.
        # Compiled with the normalisation after it, torch 2.13 makes NaN of it: so it stands alone.
        transform = torch.compiler.disable(_wide_transform)
        for layer in model.encoder.layer:
            layer.fourier.self.fourier_transform = transform
    return model


def _torch_device(job: Job) -> str:
    return "cpu" if job.device == "cpu" else "cuda"


def _wide_transform(hidden: Any) -> Any:
    """Return the transform's real part, computed in float32, in the dtype of `hidden`."""
    import torch

    return torch.fft.fftn(hidden.float(), dim=(1, 2)).real.to(hidden.dtype)


def prepare_transformers(job: Job, *, compiled: bool = False) -> Variants:
    """Prepare transformers' FNetModel; rows are sorted by length, a batch padded to its longest."""
    import torch

    model = _torch_model(job)
    if compiled:
        model = torch.compile(model)
    rows = inputs.read_rows(job.tokens)
    order = np.argsort([-len(row) for row in rows], kind="stable")
    device = _torch_device(job)

    def run(batch_size: int) -> np.ndarray:
        parts = []
        for start in range(0, len(rows), batch_size):
            part = [rows[row] for row in order[start : start + batch_size]]
            ids = torch.from_numpy(padded(part).astype(np.int64)).to(device)
            made = model(input_ids=ids, token_type_ids=torch.zeros_like(ids))
            parts.append(made.pooler_output.float().cpu().numpy())
        pooled = np.empty((len(rows), parts[0].shape[1]), np.float32)
        pooled[order] = np.concatenate(parts)
        return pooled

    def variant(batch_size: int) -> Callable[[], np.ndarray]:
        return torch.inference_mode()(lambda: run(batch_size))

    return {f"batch {size}": timed(variant(size)) for size in job.batch_sizes}


ENGINE = Contender("fnet engine", "tensorflow", prepare_engine, threads=None)
ENCODE = Contender("fnet encode", "tensorflow", prepare_job, threads=None)
PEERS = {
    **{
        f"keras_hub-{backend}": Contender(
            f"keras_hub predict {backend}", backend, prepare_keras_hub, ("keras_hub", backend)
        )
        for backend in ("tensorflow", "jax", "torch")
    },
    "transformers-eager": Contender(
        "transformers eager", "torch", prepare_transformers, ("transformers", "torch")
    ),
    "transformers-compile": Contender(
        "transformers torch.compile",
        "torch",
        partial(prepare_transformers, compiled=True),
        ("transformers", "torch"),
    ),
}
