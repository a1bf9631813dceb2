"""Contenders side by side: a process each, loaded and warm before the first round, in turns."""

from __future__ import annotations

import importlib.util
import json
import multiprocessing
import os
import statistics
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from fnet_cli.cli.streams import native_noise_held
from fnet_cli.encoding.engine.devices import usable_cores

THREADS = usable_cores()
# Some libraries' threads spin for a while after their work is done.
_SETTLE_SECONDS = 0.3
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


@dataclass(frozen=True)
class Job:
    """The rows and the preset, the same for every contender.

    `short` says that rows differ in length; `batch_sizes` are those that peers try.
    """

    preset: str
    tokens: Path
    dtype: str = "float32"
    device: str = "cpu"
    short: bool = False
    batch_sizes: tuple[int, ...] = (8,)


@dataclass(frozen=True)
class Round:
    """One timed pass: seconds, and the pooled outputs (rows, H), of none where it makes none."""

    seconds: float
    pooled: np.ndarray


Work = Callable[[], Round]
# What a contender can be run as, such as its batch sizes; the best of them counts.
Variants = dict[str, Work]
# By contender, then by variant.
Results = dict[str, dict[str, list[Round]]]


@dataclass(frozen=True)
class Contender:
    """What is timed, and the process that it needs.

    Contenders of one name are variants of it. `threads` is None for one that shares out the cores
    itself. `modules` must be there for it to run.
    """

    name: str
    backend: str
    prepare: Callable[[Job], Variants]
    modules: tuple[str, ...] = ()
    threads: int | None = THREADS

    @property
    def is_installed(self) -> bool:
        """Whether all that it needs can be imported."""
        return all(importlib.util.find_spec(module) for module in self.modules)


def timed(work: Callable[[], np.ndarray]) -> Work:
    """Return `work` with its time."""

    def run() -> Round:
        started = time.perf_counter()
        pooled = work()
        return Round(time.perf_counter() - started, pooled)

    return run


def set_environment(backend: str, device: str, *, threads: int | None) -> None:
    """Choose backend, device and threads, before any of the libraries is imported.

    Without a number of threads none is set: a library that shares out the cores itself does so.
    """
    os.environ.update(
        KERAS_BACKEND=backend, TF_CPP_MIN_LOG_LEVEL="3", XLA_PYTHON_CLIENT_PREALLOCATE="false"
    )
    if device == "cpu":
        os.environ.update(CUDA_VISIBLE_DEVICES="", JAX_PLATFORMS="cpu")
    for name in _THREAD_VARIABLES:
        os.environ.pop(name, None)
        if threads:
            os.environ[name] = str(threads)


def serve(contender: Contender, job: Job, connection: Connection) -> None:
    """Prepare a contender, then answer every name of a variant with a `Round`; None ends it."""
    set_environment(contender.backend, job.device, threads=contender.threads)
    try:
        with native_noise_held():
            variants = contender.prepare(job)
            for work in variants.values():
                work()  # compiles and warms up
    except Exception as error:  # noqa: BLE001 - whatever it is, the others can go on
        traceback.print_exc()
        connection.send(f"left out: {type(error).__name__}: {str(error)[:200]}")
        return
    connection.send(list(variants))
    while (variant := connection.recv()) is not None:
        connection.send(variants[variant]())


def race(contenders: Sequence[Contender], job: Job, rounds: int) -> Results:
    """Start the contenders, one after the other, and let them take turns; one works at a time.

    Every other round runs backwards, so that none always works after the same one. A contender
    that fails is named and left out.
    """
    turns = [
        (contender.name, variant, connection)
        for contender in contenders
        for connection, variants in _started(contender, job)
        for variant in variants
    ]
    results: Results = {name: {} for name, _, _ in turns}
    for number in range(rounds):
        for name, variant, connection in turns[:: -1 if number % 2 else 1]:
            time.sleep(_SETTLE_SECONDS)
            connection.send(variant)
            results[name].setdefault(variant, []).append(connection.recv())
    for connection in {id(turn[2]): turn[2] for turn in turns}.values():
        connection.send(None)
    return results


def _started(contender: Contender, job: Job) -> list[tuple[Connection, list[str]]]:
    """Return the connection and the variants of a contender, or nothing."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(contender, job, there), daemon=True)
    process.start()
    there.close()  # so that a process that dies is an EOFError here, not a wait for ever
    try:
        answer = here.recv()
    except EOFError:
        process.join()
        answer = f"left out: its process ended with {process.exitcode}"
    if isinstance(answer, str):
        print(f"{contender.name} ({contender.backend}): {answer}", flush=True)
        return []
    return [(here, answer)]


def best_variant(variants: dict[str, list[Round]]) -> str:
    """Return the variant whose median round is the fastest."""
    return min(variants, key=lambda name: median_seconds(variants[name]))


def median_seconds(rounds: list[Round]) -> float:
    """Return the time of the median round."""
    return statistics.median(one.seconds for one in rounds)


def print_table(lines: list[dict[str, Any]]) -> None:
    """Print the lines, which have the same keys, as a table."""
    widths = {key: max(len(key), *(len(str(line[key])) for line in lines)) for key in lines[0]}
    print("  ".join(f"{key:>{width}}" for key, width in widths.items()))
    for line in lines:
        print("  ".join(f"{line[key]!s:>{width}}" for key, width in widths.items()))


def write_json(path: Path | None, document: Any) -> None:
    """Write the document to `path`, where one was given."""
    if path:
        path.write_text(json.dumps(document, indent=2) + "\n")
