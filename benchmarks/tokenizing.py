"""What part of encode's time tokenizing is: texts, their tokens, and tokenizing alone, interleaved.

python benchmarks/tokenizing.py [--rows 60000]     the example sentences, again and again
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contenders import LoadOnce, load_alone
from racing import THREADS, print_table, set_environment, write_json

if TYPE_CHECKING:
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.options import EncodeOptions
    from fnet_cli.encoding.readers.base import RowSource

SENTENCES = Path(__file__).parent.parent / "docs/examples/sentences.txt"


def write_texts(path: Path, rows: int) -> None:
    """Write the example sentences as lines until there are enough."""
    lines = SENTENCES.read_text(encoding="utf-8").splitlines(keepends=True)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(itertools.islice(itertools.cycle(lines), rows))


def tokenize_all(source: RowSource, columns: list[str]) -> float:
    """Read and tokenize every row, throw it away, and return the seconds."""
    from fnet_cli.constants import MAX_WINDOW_ROWS

    started = time.perf_counter()
    for _ in source.batches(columns, MAX_WINDOW_ROWS):
        pass
    return time.perf_counter() - started


def turns_of(
    texts: Path, options: EncodeOptions, context: JobContext
) -> dict[str, Callable[[], float]]:
    """Return what takes turns; each returns the seconds that it worked, without start-up."""
    from fnet_cli.config import Settings
    from fnet_cli.encoding.job import encode_files
    from fnet_cli.encoding.plan import make_plan
    from fnet_cli.encoding.tokenizing import tokenize_files

    tokens = texts.with_name("tokens.parquet")
    tokenize_files(replace(options, output=str(tokens)), context)
    of_tokens = replace(options, inputs=(str(tokens),))
    (source,) = make_plan(options, Settings(), None).sources
    columns = ["text", *options.id_columns]
    return {
        "encode texts": lambda: encode_files(options, context).working_seconds,
        "encode their tokens": lambda: encode_files(of_tokens, context).working_seconds,
        "tokenize alone": lambda: tokenize_all(source, columns),
    }


def measure(arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Let the turns go round, after one that warms up."""
    from fnet_cli.encoding.context import JobContext
    from fnet_cli.encoding.options import EncodeOptions

    with tempfile.TemporaryDirectory() as directory:
        texts = Path(directory) / "texts.txt"
        write_texts(texts, arguments.rows)
        options = EncodeOptions(
            (str(texts),), str(texts.with_name("out.parquet")), preset=arguments.preset,
            device="cpu", overwrite=True,
        )  # fmt: skip
        turns = turns_of(texts, options, JobContext(engine_loader=LoadOnce(load_alone)))
        seconds: dict[str, list[float]] = {name: [] for name in turns}
        for round_ in range(arguments.rounds + 1):
            for name, work in turns.items():
                took = work()
                if round_:
                    seconds[name].append(took)
    return seconds


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="f_net_mini_en", help="one that has a vocabulary")
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the lines to this file")
    arguments = parser.parse_args()
    set_environment("tensorflow", "cpu", threads=None)
    seconds = measure(arguments)
    whole = statistics.median(seconds["encode texts"])
    made: list[dict[str, Any]] = [
        {
            "what": name,
            "rows_per_second": round(arguments.rows / statistics.median(every)),
            "of_encode_texts": round(statistics.median(every) / whole, 3),
            "spread": round(max(every) / min(every), 2),
        }
        for name, every in seconds.items()
    ]
    print(
        f"{arguments.preset}, {arguments.rows:,} sentences, {THREADS} cores, median of "
        f"{arguments.rounds} rounds"
    )
    print_table(made)
    write_json(arguments.json, made)


if __name__ == "__main__":
    main()
