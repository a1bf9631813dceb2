"""Writes docs/examples: sentences from WordNet that were never trained on, as text and as ids."""

from __future__ import annotations

import argparse
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from fnet_cli import FNetTokenizer
from fnet_cli.constants import SEGMENT_COLUMN, TEXT_COLUMN, TOKEN_COLUMN
from fnet_cli.tokenizer.packing import pack
from training.preset import PRESET, SEQUENCE_LENGTH
from training.texts import WORK

SENTENCES = 300
JSONL_SENTENCES = 20
LEAST_WORDS = 6
# Of sentences that show how a word is used, some are about what nobody looks for on a first page.
LEFT_OUT = (
    "advances", "anorexic", "brassiere", "dead", "despot", "died", "dissident", "divorce",
    "gassed", "infidel", "intimate", "jew", "kill", "marijuana", "mdma", "miserable", "mugger",
    "murder", "neurosis", "rape", "resistance", "ripper", "sex", "strips", "subvert", "suicide",
    "whore", "young girl",
)  # fmt: skip
OUTPUT = Path(__file__).parent.parent / "docs/examples"


def choose_sentences(work: Path) -> list[str]:
    """Return held-out examples of WordNet that are whole sentences, spread over all of it."""
    rows = pq.read_table(work / "held_out.parquet").to_pylist()
    found = [
        row["text"]
        for row in rows
        if (row["source"], row["kind"]) == ("wordnet", "example") and is_sentence(row["text"])
    ]
    return [found[index * len(found) // SENTENCES] for index in range(SENTENCES)]


def is_sentence(text: str) -> bool:
    """Whether it begins like a sentence and is long enough, and is fit for a first page."""
    plain = text.lower()
    begins = text[0].isupper() and len(text.split()) >= LEAST_WORDS
    return begins and not any(word in plain for word in LEFT_OUT)


def write_examples(sentences: list[str], output: Path) -> None:
    """Write `sentences.txt`, and `.parquet` and `.jsonl` with ids and a number each."""
    (output / "sentences.txt").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    tokenizer = FNetTokenizer.from_preset(PRESET.name)
    tokens = tokenizer.tokenize_arrow(pa.array(sentences))
    packed = pack(tokenizer.special, tokens, sequence_length=SEQUENCE_LENGTH)
    table = pa.table(
        {
            "id": [f"s{number:03}" for number in range(1, len(sentences) + 1)],
            TEXT_COLUMN: sentences,
            TOKEN_COLUMN: packed.token_ids,
            SEGMENT_COLUMN: packed.segment_ids,
        }
    )
    pq.write_table(table, output / "sentences.parquet")
    rows = table.slice(0, JSONL_SENTENCES).to_pylist()
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    (output / "sentences.jsonl").write_bytes(lines)


def main() -> None:
    """Parse the arguments and write."""
    parser = argparse.ArgumentParser(prog="python -m training.examples")
    parser.description = "Write the example files of the documentation."
    parser.add_argument("--work", type=Path, default=WORK, metavar="DIR")
    parser.add_argument("--output", type=Path, default=OUTPUT, metavar="DIR")
    arguments = parser.parse_args()
    write_examples(choose_sentences(arguments.work), arguments.output)


if __name__ == "__main__":
    main()
