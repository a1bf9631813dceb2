"""Writes WordNet's glosses as token rows, ready for `fnet encode`: Parquet or JSON lines."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece

from fnet_cli.constants import SEGMENT_COLUMN, TOKEN_COLUMN, VOCABULARY_FILE
from fnet_cli.presets.sources.bundled import BundledSource
from fnet_cli.tokenizer.special import read_special_ids
from training.preset import PRESET
from training.sources.wordnet import WORDNET_DIRECTORY, read_glosses

CHUNK_ROWS = 10_000
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("text", pa.string()),
        (TOKEN_COLUMN, pa.list_(pa.int32())),
        (SEGMENT_COLUMN, pa.list_(pa.int32())),
    ]
)


def cycle_glosses(wordnet: Path, every: int) -> Iterator[tuple[str, str]]:
    """Yield every `every`-th gloss, without end: the second round's ids end in `-2`, and so on."""
    for turn in itertools.count(1):
        suffix = f"-{turn}" if turn > 1 else ""
        for synset, gloss in itertools.islice(read_glosses(wordnet), 0, None, every):
            yield synset + suffix, gloss


def tokenized_chunks(glosses: Iterator[tuple[str, str]], vocabulary: Path) -> Iterator[pa.Table]:
    """Yield tables of up to CHUNK_ROWS rows, each gloss packed as `[CLS] gloss [SEP]`.

    Nothing is truncated: the longest gloss of WordNet 3.0 fits the model's 512 positions.
    """
    special = read_special_ids(vocabulary)
    processor = sentencepiece.SentencePieceProcessor(model_proto=vocabulary.read_bytes())
    while chunk := list(itertools.islice(glosses, CHUNK_ROWS)):
        identifiers, texts = zip(*chunk, strict=True)
        tokens = [[special.cls, *ids, special.sep] for ids in processor.encode(list(texts))]
        segments = [[0] * len(ids) for ids in tokens]
        yield pa.table([identifiers, texts, tokens, segments], schema=SCHEMA)


def write_rows(chunks: Iterator[pa.Table], output: Path) -> None:
    """Write the chunks as they come: JSON lines where the name ends in .jsonl, else Parquet."""
    if output.suffix == ".jsonl":
        with output.open("wb") as file:
            for chunk in chunks:
                file.writelines(orjson.dumps(row) + b"\n" for row in chunk.to_pylist())
        return
    with pq.ParquetWriter(output, SCHEMA) as writer:
        for chunk in chunks:
            writer.write_table(chunk)


def positive(text: str) -> int:
    """Parse a count of at least one."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def main() -> None:
    """Parse the arguments and write the file."""
    parser = argparse.ArgumentParser(prog="python -m training.tokenize_wordnet")
    parser.description = f"Write WordNet's glosses as token rows in {PRESET.name}'s vocabulary."
    parser.add_argument(
        "--rows",
        type=positive,
        metavar="N",
        help="more rows than glosses go round again; default: every gloss once",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="FILE")
    parser.add_argument("--wordnet", type=Path, default=WORDNET_DIRECTORY, metavar="DIR")
    parser.add_argument(
        "--every", type=positive, default=1, metavar="K", help="take one gloss in K (default: 1)"
    )
    arguments = parser.parse_args()
    directory = BundledSource().locate(PRESET.name)
    if directory is None:
        parser.error(f"{PRESET.name} is not bundled")
    glosses = cycle_glosses(arguments.wordnet, arguments.every)
    rows = arguments.rows or sum(
        1 for _ in itertools.islice(read_glosses(arguments.wordnet), 0, None, arguments.every)
    )
    chunks = tokenized_chunks(itertools.islice(glosses, rows), directory / VOCABULARY_FILE)
    write_rows(chunks, arguments.output)
    print(f"{rows:,} rows in {arguments.output}")


if __name__ == "__main__":
    main()
