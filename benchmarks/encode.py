"""Time encode beside keras_hub and transformers: same rows, same weights, interleaved rounds.

python benchmarks/encode.py --model base --tokens 512 --dtype bfloat16
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import floor
import inputs
from comparing import Comparison, numbers, true_outputs
from contenders import ENCODE, ENGINE, PEERS
from racing import THREADS, Contender, Job, print_table, race, write_json

from fnet_cli.encoding.bench import short_lengths

_ROWS, _SHORT_ROWS = 16, 512
# Short rows make small batches, so peers may try larger ones.
_BATCH_SIZES, _SHORT_BATCH_SIZES = (8,), (8, 32, 128)


def make_job(directory: Path, arguments: argparse.Namespace) -> Job:
    """Write seeded weights as a preset, and seeded rows."""
    short = arguments.lengths == "short"
    rows = arguments.rows or (_SHORT_ROWS if short else _ROWS)
    lengths = short_lengths(rows) if short else inputs.equal_lengths(rows, arguments.tokens)
    tokens = directory / "tokens.parquet"
    inputs.write_rows(tokens, lengths, inputs.MODELS[arguments.model].vocabulary_size)
    sizes = arguments.peer_batch_sizes or (_SHORT_BATCH_SIZES if short else _BATCH_SIZES)
    preset = inputs.preset_of(arguments.model, directory)
    return Job(preset, tokens, arguments.dtype, short=short, batch_sizes=sizes)


def peers(text: str) -> list[Contender]:
    """Parse `--peers`: beginnings of names with commas between, or nothing for none."""
    beginnings = [name for name in text.split(",") if name]
    for beginning in beginnings:
        if not any(name.startswith(beginning) for name in PEERS):
            known = ", ".join(PEERS)
            raise argparse.ArgumentTypeError(f"no peer {beginning}; there are {known}")
    return [peer for name, peer in PEERS.items() if name.startswith(tuple(beginnings))]


def line(comparison: Comparison, name: str) -> dict[str, Any]:
    """Return how a contender compares with ours."""
    return {
        **comparison.rates(name),
        "engine_is_faster_by": comparison.times_slower(name, ENGINE.name),
        "encode_is_faster_by": comparison.times_slower(name, ENCODE.name),
        "share_of_floor": comparison.times_slower(floor.NAME, name),
        "spread": comparison.spread(name),
        "max_difference": comparison.max_difference(name, ENGINE.name),
        "min_cosine": comparison.min_cosine(name),
    }


def parse() -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=inputs.MODELS, default="base")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--lengths", choices=("equal", "short"), default="equal")
    parser.add_argument("--rows", type=int, help=f"default {_ROWS}, or {_SHORT_ROWS} short ones")
    parser.add_argument("--tokens", type=int, default=512, help="of each row, unless short")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peer-batch-sizes", type=numbers, help="such as 8,16: the best counts")
    parser.add_argument("--peers", type=peers, help=f"any of {','.join(PEERS)}, or beginnings")
    parser.add_argument("--no-floor", action="store_true", help="leave out the matmul floor")
    parser.add_argument("--json", type=Path, help="also write the lines to this file")
    return parser.parse_args()


def contenders(arguments: argparse.Namespace) -> list[Contender]:
    """Return who runs: ours, those peers that are asked for or installed, and the floor."""
    wanted = list(PEERS.values()) if arguments.peers is None else arguments.peers
    chosen = [ENGINE, ENCODE, *wanted, *(() if arguments.no_floor else floor.FLOOR)]
    for contender in chosen:
        if not contender.is_installed:
            print(f"{contender.name} ({contender.backend}): left out: it is not installed")
    return [contender for contender in chosen if contender.is_installed]


def main() -> None:
    """Run the benchmark and print its table."""
    arguments = parse()
    with tempfile.TemporaryDirectory() as directory:
        job = make_job(Path(directory), arguments)
        results = race(contenders(arguments), job, arguments.rounds)
        rows = inputs.read_rows(job.tokens)
        comparison = Comparison(results, rows, floor.operations(job), true_outputs(job))
    lines = [line(comparison, name) for name in results]
    what = "short rows" if job.short else f"rows of {arguments.tokens} tokens"
    print(
        f"{arguments.model}, {len(rows)} {what}, {arguments.dtype}, {THREADS} cores, "
        f"median of {arguments.rounds} rounds"
    )
    print_table(lines)
    variants = [{"variant_seconds": comparison.variant_seconds(name)} for name in results]
    write_json(arguments.json, [one | more for one, more in zip(lines, variants, strict=True)])


if __name__ == "__main__":
    main()
