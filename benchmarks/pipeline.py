"""What the whole of `fnet encode` costs beside its model: Parquet in, Parquet out, interleaved.

python benchmarks/pipeline.py --preset base --rows 64 --tokens 512
python benchmarks/pipeline.py --stub --rows 200000 --tokens 32     without a model: zeros come out
python benchmarks/pipeline.py --once --rows 50000 --tokens 128     one job, cold: for long ones
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import inputs
import numpy as np
from contenders import LoadOnce, embed_all, load_alone, make_batches
from racing import THREADS, print_table, set_environment, write_json

if TYPE_CHECKING:
    from fnet_cli.encoding.batching import Batch
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.engine.base import Engine
    from fnet_cli.encoding.options import EncodeOptions

_STUB_PRESET = "narrow"


class StubEngine:
    """An engine that costs nothing: zeros of the preset's width."""

    backend, device, mixing = "stub", "cpu", ""
    workers, batch_tokens = THREADS, 2048

    def __init__(self, request: Any) -> None:
        self._hidden_dim = request.preset.config.hidden_dim

    def embed(self, batch: Batch) -> np.ndarray:
        """Return zeros, (B, H)."""
        return np.zeros((len(batch.rows), self._hidden_dim), np.float32)


class WatchedEngine:
    """An engine that notes when it is at work."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.backend, self.device, self.mixing = engine.backend, engine.device, engine.mixing
        self.workers, self.batch_tokens = engine.workers, engine.batch_tokens
        self.spans: list[tuple[float, float]] = []

    def embed(self, batch: Batch) -> np.ndarray:
        """Return what the engine makes of the batch."""
        started = time.perf_counter()
        made = self._engine.embed(batch)
        self.spans.append((started, time.perf_counter()))
        return made


def union_seconds(spans: list[tuple[float, float]]) -> float:
    """Return how long at least one of the spans was under way."""
    total, end = 0.0, 0.0
    for start, stop in sorted(spans):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


@dataclass(frozen=True)
class Pass:
    """One timed pass over all rows, and what part of it the model was at work.

    `busy` is the time in which at least one batch was embedded over all of it, `workers_busy`
    that of all workers over what they had.
    """

    seconds: float
    busy: float
    workers_busy: float


def watched(loader: LoadOnce, work: Callable[[], float]) -> Pass:
    """Time `work`, which returns the seconds that count: the last ones of it.

    What the engine did before them, such as trying batch sizes out, is start-up.
    """
    if loader.engine is not None:
        loader.engine.spans.clear()
    seconds = work()
    engine = loader.engine
    begun = time.perf_counter() - seconds
    spans = [(max(start, begun), stop) for start, stop in engine.spans if stop > begun]
    total = sum(stop - start for start, stop in spans)
    return Pass(seconds, union_seconds(spans) / seconds, total / (engine.workers * seconds))


def whole_job(options: EncodeOptions, context: JobContext) -> float:
    """Encode the file and return the seconds after start-up."""
    from fnet_cli.encoding.job import encode_files

    return encode_files(options, context).working_seconds


def model_only(engine: Any, made: list[Batch], out: np.ndarray) -> float:
    """Embed batches that are made already and return the seconds."""
    started = time.perf_counter()
    embed_all(engine, made, out)
    return time.perf_counter() - started


def measure(path: Path, preset: str, arguments: argparse.Namespace) -> dict[str, list[Pass]]:
    """Let the whole job and the model alone take turns, with one engine."""
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.options import ComputeDtype, EncodeOptions, Padding, Pooling

    options = EncodeOptions(
        (str(path),), str(path.with_name("out.parquet")), preset=preset, pad_id=inputs.PAD_ID,
        sequence_length=arguments.tokens, dtype=ComputeDtype(arguments.dtype), overwrite=True,
        pooling=Pooling.POOLED, normalize=False, padding=Padding.MAX, device="cpu",
    )  # fmt: skip
    loader = LoadOnce(StubEngine if arguments.stub else load_alone, WatchedEngine)
    context = JobContext(engine_loader=loader)
    if not arguments.once:
        whole_job(options, context)  # loads, compiles and warms up
    turns = {"fnet encode": lambda: whole_job(options, context)}
    if not arguments.stub and not arguments.once:
        engine = loader.engine
        made = make_batches(inputs.read_rows(path), engine.batch_tokens, arguments.tokens)
        out = np.empty((arguments.rows, inputs.preset_at(preset).config.hidden_dim), np.float32)
        turns["model only"] = lambda: model_only(engine, made, out)
    passes: dict[str, list[Pass]] = {name: [] for name in turns}
    for _ in range(1 if arguments.once else arguments.rounds):
        for name, work in turns.items():
            passes[name].append(watched(loader, work))
    return passes


def lines(passes: dict[str, list[Pass]], rows: int, tokens: int) -> list[dict[str, Any]]:
    """Return a line for the whole job and one for the model alone, of median passes."""
    medians = {
        name: statistics.median(one.seconds for one in every) for name, every in passes.items()
    }
    alone = medians.get("model only")
    return [
        {
            "what": name,
            "rows_per_second": round(rows / medians[name], 2),
            "tokens_per_second": round(rows * tokens / medians[name]),
            "model_busy": round(statistics.median(one.busy for one in every), 4),
            "workers_busy": round(statistics.median(one.workers_busy for one in every), 4),
            "of_model_only": round(alone / medians[name], 4) if alone else "",
            "spread": round(
                max(one.seconds for one in every) / min(one.seconds for one in every), 2
            ),
        }
        for name, every in passes.items()
    ]


def parse() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", help=f"{inputs.PRESET_HELP}; default base")
    parser.add_argument("--rows", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--once", action="store_true", help="one job, loading and all; no rounds")
    parser.add_argument("--stub", action="store_true", help="zeros in place of a model")
    parser.add_argument("--json", type=Path, help="also write the lines to this file")
    return parser.parse_args()


def main() -> None:
    """Run the benchmark and print its table."""
    arguments = parse()
    set_environment("tensorflow", "cpu", threads=None)
    wanted = arguments.preset or (_STUB_PRESET if arguments.stub else "base")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokens.parquet"
        preset = inputs.preset_of(wanted, Path(directory))
        lengths = inputs.equal_lengths(arguments.rows, arguments.tokens)
        inputs.write_rows(path, lengths, inputs.preset_at(preset).config.vocabulary_size)
        passes = measure(path, preset, arguments)
    model = "stub" if arguments.stub else arguments.dtype
    rounds = "one cold job" if arguments.once else f"median of {arguments.rounds} rounds"
    print(
        f"{wanted}, {arguments.rows:,} rows of {arguments.tokens} tokens, {model}, {THREADS} "
        f"cores, {rounds}"
    )
    made = lines(passes, arguments.rows, arguments.tokens)
    print_table(made)
    write_json(arguments.json, made)


if __name__ == "__main__":
    main()
