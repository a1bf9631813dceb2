"""The floor: the dense products that the pooled output needs, and nothing else.

No embedding, no mixing, no normalisation, no activation: an encoder that is exact and uses these
libraries' products cannot take less. Activations are allocated beforehand. A product's input is
the one before's output, so that none can be left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import inputs
import numpy as np
from racing import THREADS, Contender, Job, Variants, timed

from fnet_cli.encoding.engine.floor import chain, products

NAME = "matmul floor"
# Tokens that go through the products together.
_CHUNK_TOKENS = (1024, 4096)
_NOTHING = np.empty((0, 0), np.float32)


def operations(job: Job) -> int:
    """Return the operations of the job's dense products, on its real tokens."""
    rows = inputs.read_rows(job.tokens)
    return products(inputs.preset_at(job.preset).config).operations(sum(map(len, rows)), len(rows))


def _chunks(job: Job, chunk: int, streams: int) -> list[tuple[int, int]]:
    """Return (tokens, rows) of each chunk: of `chunk` tokens at most, as many for each stream."""
    rows = inputs.read_rows(job.tokens)
    total = sum(map(len, rows))
    count = streams * math.ceil(total / (streams * chunk))
    ends = [(total * part // count, len(rows) * part // count) for part in range(1, count + 1)]
    starts = [(0, 0), *ends]
    return [(a - b, max(1, c - d)) for (a, c), (b, d) in zip(ends, starts, strict=False)]


def _kernels(sizes: list[tuple[int, int]]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(0.03 * rng.standard_normal(size)).astype(np.float32) for size in sizes]


def prepare_torch(job: Job) -> Variants:
    """Prepare `torch.mm`: one stream of all threads, and one stream a thread of one each."""
    import torch

    dtype = getattr(torch, job.dtype)
    wanted = products(inputs.preset_at(job.preset).config)
    per_token, per_row = (
        [torch.from_numpy(kernel).to(dtype) for kernel in _kernels(sizes)]
        for sizes in (wanted.of_tokens, wanted.of_rows)
    )

    def stream(chunks: list[tuple[int, int]], threads: int) -> Callable[[], None]:
        return _torch_stream(chunks, threads, per_token, per_row)

    variants = {}
    for chunk in _CHUNK_TOKENS:
        whole = [stream(_chunks(job, chunk, 1), THREADS)]
        divided = _chunks(job, chunk, THREADS)
        parts = [stream(divided[number::THREADS], 1) for number in range(THREADS)]
        variants[f"torch {THREADS} threads, {chunk} tokens"] = timed(partial(_together, whole))
        variants[f"torch {THREADS} x 1 thread, {chunk} tokens"] = timed(partial(_together, parts))
    return variants


def _torch_stream(
    chunks: list[tuple[int, int]], threads: int, per_token: list[Any], per_row: list[Any]
) -> Callable[[], None]:
    """Return the products of the chunks, one after the other, with buffers of their own."""
    import torch

    most = max(max(chunk) for chunk in chunks)
    widths = {kernel.shape[1] for kernel in (*per_token, *per_row)}

    def ones(width: int) -> Any:
        return torch.ones((most, width), dtype=per_token[0].dtype)

    first = ones(per_token[0].shape[0])
    # Two of each width, in turns: a square product must not write where it reads.
    buffers = [{width: ones(width) for width in widths} for _ in range(2)]

    @torch.inference_mode()
    def run() -> None:
        torch.set_num_threads(threads)
        for tokens, rows in chunks:
            x = first[:tokens]
            for number, kernel in enumerate((*per_token, *per_row)):
                x = x[:rows] if number >= len(per_token) else x
                x = torch.mm(x, kernel, out=buffers[number % 2][kernel.shape[1]][: len(x)])

    return run


def prepare_tensorflow(job: Job, *, divided: bool) -> Variants:
    """Prepare a graph of `tf.matmul`: one at a time with all threads, or one a thread."""
    import tensorflow as tf

    streams = THREADS if divided else 1
    tf.config.threading.set_intra_op_parallelism_threads(THREADS // streams)
    tf.config.threading.set_inter_op_parallelism_threads(streams)
    dtype = tf.as_dtype(job.dtype)
    wanted = products(inputs.preset_at(job.preset).config)
    per_token, per_row = (
        [tf.Variable(kernel, dtype=dtype) for kernel in _kernels(sizes)]
        for sizes in (wanted.of_tokens, wanted.of_rows)
    )

    forward = tf.function(chain, autograph=False)

    def stream(chunks: list[tuple[int, int]]) -> Callable[[], None]:
        given = {tokens: tf.ones((tokens, wanted.of_tokens[0][0]), dtype) for tokens, _ in chunks}

        def run() -> None:
            for tokens, rows in chunks:
                forward(given[tokens], rows, per_token, per_row)[1].numpy()

        return run

    variants = {}
    label = f"{THREADS} x 1 thread" if divided else f"{THREADS} threads"
    for chunk in _CHUNK_TOKENS:
        chunks = _chunks(job, chunk, streams)
        parts = [stream(chunks[number::streams]) for number in range(streams)]
        variants[f"tensorflow {label}, {chunk} tokens"] = timed(partial(_together, parts))
    return variants


def _together(streams: list[Callable[[], None]]) -> np.ndarray:
    """Run the streams side by side, in a thread each where there are several."""
    from fnet_cli.encoding.stages import Workers

    if len(streams) == 1:
        streams[0]()
        return _NOTHING
    with Workers[None](len(streams)) as workers:
        for run in streams:
            workers.submit(run)
        while len(workers):
            workers.result()
    return _NOTHING


FLOOR = (
    Contender(NAME, "torch", prepare_torch, ("torch",)),
    Contender(NAME, "tensorflow", partial(prepare_tensorflow, divided=False), threads=None),
    Contender(NAME, "tensorflow", partial(prepare_tensorflow, divided=True), threads=None),
)
