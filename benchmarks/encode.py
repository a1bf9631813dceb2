"""Time encode beside keras_hub and transformers: same rows, same weights, interleaved rounds.

python benchmarks/encode.py --model base --tokens 512
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import tempfile
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from contenders import Job, Round, serve

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.presets.registry import BUILTIN_PRESETS

MODELS = {"mini": "f_net_mini_en", "base": "f_net_base_en", "large": "f_net_large_en"}
OURS = ("fnet engine", "fnet encode")
PEERS = {"keras_hub": "keras_hub predict", "transformers": "transformers eager"}


def make_job(directory: Path, config: BackboneConfig, arguments: argparse.Namespace) -> Job:
    """Write seeded weights as a preset, and seeded rows of one length."""
    from builders import write_preset

    write_preset(directory / "preset", config)
    ids = np.random.default_rng(0).integers(
        0, config.vocabulary_size, (arguments.rows, arguments.tokens), dtype=np.int32
    )
    pq.write_table(pa.table({"token_ids": list(ids)}), directory / "tokens.parquet")
    return Job(directory / "preset", directory / "tokens.parquet", arguments.batch_size)


def peers(text: str) -> list[str]:
    """Parse `--peers`: names with commas between them, or nothing for this project alone."""
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        known = ", ".join(PEERS)
        raise argparse.ArgumentTypeError(f"no peer {', '.join(unknown)}; there are {known}")
    return names


def start(names: list[str], job: Job) -> dict[str, Connection]:
    """Start a process for each contender, one after the other, and return those that are ready."""
    context = multiprocessing.get_context("spawn")
    ready = {}
    for name in names:
        here, there = context.Pipe()
        context.Process(target=serve, args=(name, job, there), daemon=True).start()
        there.close()  # so that a worker that dies is an EOFError here, not a wait for ever
        try:
            answer = here.recv()
        except EOFError:
            raise SystemExit(f"{name}: its process failed; the traceback is above") from None
        if answer == "ready":
            ready[name] = here
        else:
            print(f"{name}: {answer}")
    return ready


def race(ready: dict[str, Connection], rounds: int) -> dict[str, list[Round]]:
    """Let the contenders take turns; only one works at a time.

    Every other round runs backwards, so that none always works after the same one.
    """
    results: dict[str, list[Round]] = {name: [] for name in ready}
    for number in range(rounds):
        for name, connection in list(ready.items())[:: -1 if number % 2 else 1]:
            connection.send("go")
            results[name].append(connection.recv())
    for connection in ready.values():
        connection.send(None)
    return results


def summarise(results: dict[str, list[Round]], rows: int, tokens: int) -> list[dict[str, object]]:
    """Return a line a contender: rates by the median round, and how it compares with ours."""
    times = {name: [r.seconds for r in rs] for name, rs in results.items()}
    medians = {name: statistics.median(seconds) for name, seconds in times.items()}
    reference = results["fnet engine"][0].pooled
    return [
        {
            "contender": name,
            "rows_per_second": round(rows / seconds, 2),
            "tokens_per_second": round(rows * tokens / seconds),
            "engine_is_faster_by": round(seconds / medians["fnet engine"], 3),
            "encode_is_faster_by": round(seconds / medians["fnet encode"], 3),
            "spread": round(max(times[name]) / min(times[name]), 2),
            "max_difference": float(np.abs(results[name][0].pooled - reference).max()),
        }
        for name, seconds in medians.items()
    ]


def print_lines(lines: list[dict[str, object]]) -> None:
    """Print the lines as a table."""
    widths = {key: max(len(key), *(len(str(line[key])) for line in lines)) for key in lines[0]}
    print("  ".join(f"{key:>{width}}" for key, width in widths.items()))
    for line in lines:
        print("  ".join(f"{line[key]!s:>{width}}" for key, width in widths.items()))


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=MODELS, default="base")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--peers", type=peers, default=list(PEERS), help=",".join(PEERS))
    parser.add_argument("--json", type=Path, help="also write the lines to this file")
    arguments = parser.parse_args()
    config = BUILTIN_PRESETS[MODELS[arguments.model]].config
    with tempfile.TemporaryDirectory() as directory:
        job = make_job(Path(directory), config, arguments)
        names = [*OURS, *(PEERS[peer] for peer in arguments.peers)]
        results = race(start(names, job), arguments.rounds)
    lines = summarise(results, arguments.rows, arguments.tokens)
    print(
        f"{arguments.model}, {arguments.rows} rows of {arguments.tokens} tokens, batch "
        f"{arguments.batch_size}, float32, median of {arguments.rounds} rounds"
    )
    print_lines(lines)
    if arguments.json:
        arguments.json.write_text(json.dumps(lines, indent=2) + "\n")


if __name__ == "__main__":
    main()
