"""What an engine is, and what is asked of one. Imports no Keras."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fnet_cli.encoding.batching import Batch
from fnet_cli.encoding.options import ComputeDtype, Pooling
from fnet_cli.presets.resolving import LocalPreset

# (token_ids, segment_ids, lengths) -> embeddings
Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Engine(Protocol):
    """What the job needs of a model.

    `workers` is how many batches are best in work at once, each in a thread of its own;
    `batch_tokens` how many tokens, padding included, are best in a batch; `mixing` how the
    Fourier transform is computed.
    """

    backend: str
    device: str
    mixing: str
    workers: int
    batch_tokens: int

    def embed(self, batch: Batch) -> np.ndarray:
        """Return float32 (B, H), or (B, S, H) where every token keeps its vector.

        May be called from several threads at once.
        """

    def give_way(self) -> None:
        """Embed in halves, from now on, what is as large as the largest batch so far."""


@dataclass(frozen=True)
class EngineRequest:
    """What to load: a preset, how to pool, in which dtype, where.

    `fixed_shapes` asks for a graph for each shape of batch, which takes a moment to make and then
    is faster; `one_shape` says that nearly all batches have the same. `own_process` allows settings
    that hold for the whole process, such as how many threads the backend uses: a program's to
    choose, not a library's. `only_model` says more, that no other model runs in the process and
    that no weight changes there, so that TensorFlow may keep them as the processor's products want
    them (`devices.keep_weights_packed`), and that Keras serves nothing else, so that what else it
    can do need not be imported (`importing.import_backend`). Of the GPUs, it takes the
    `share[0]`-th of `share[1]` equal shares. `cores` is how many of the processor's to use, None
    for those that the process may run on. On the processor, at most `most_workers` batches are in
    work at once, of `most_tokens` tokens; a larger one is embedded in halves.
    """

    preset: LocalPreset
    pooling: Pooling
    dtype: ComputeDtype
    device: str
    fixed_shapes: bool = False
    one_shape: bool = False
    own_process: bool = False
    only_model: bool = False
    share: tuple[int, int] = (0, 1)
    cores: int | None = None
    most_workers: int | None = None
    most_tokens: int | None = None
