"""Damaged input files, made from good ones: how the corpus of `test_damaged.py` was made.

`python tests/encoding/damaging.py` writes `damaged.zip` again. The files are kept, not made for
each run: a later pyarrow would write other bytes.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

CORPUS = Path(__file__).with_name("damaged.zip")
COPIES = 9  # of each good file, for each kind of damage
ROWS = 60


def good_files() -> dict[str, bytes]:
    """Return small files of every format that is read."""
    chance = random.Random(1)
    words = ["the", "quick", "brown", "fox", "über", "dog", "\u4e2d"]
    ids = [[chance.randrange(7, 60) for _ in range(chance.randrange(1, 9))] for _ in range(ROWS)]
    texts = [" ".join(chance.choices(words, k=chance.randrange(1, 9))) for _ in range(ROWS)]
    table = pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "token_ids": pa.array(ids, pa.list_(pa.uint16())),
            "text": texts,
            "kind": pa.array(["a", "b", None] * (ROWS // 3)).dictionary_encode(),
        }
    )
    lines = "\n".join(
        json.dumps({"id": row, "token_ids": ids[row], "text": texts[row]}) for row in range(ROWS)
    )
    csv = "id,text\n" + "".join(f'{row},"{text}"\n' for row, text in enumerate(texts))
    return {
        "plain.parquet": parquet(table, compression="none", use_dictionary=False),
        "checked.parquet": parquet(table, compression="zstd", write_page_checksum=True),
        "groups.parquet": parquet(table, compression="snappy", row_group_size=13),
        "lines.jsonl": lines.encode(),
        "lines.jsonl.gz": gzip.compress(lines.encode(), mtime=0),
        "lines.jsonl.zst": pa.compress(lines.encode(), "zstd", asbytes=True),
        "texts.txt": "\n".join(texts).encode(),
        "records.csv": csv.encode(),
        "records.tsv": csv.replace(",", "\t").encode(),
        "file.arrow": ipc(table, pa.ipc.new_file, "zstd"),
        "stream.arrow": ipc(table, pa.ipc.new_stream, None),
    }


def parquet(table: pa.Table, **options) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream, **options)
    return stream.getvalue()


def ipc(
    table: pa.Table, opened: Callable[..., pa.RecordBatchFileWriter], codec: str | None
) -> bytes:
    stream = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with opened(stream, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=25)
    return stream.getvalue()


# --- Kinds of damage ----------------------------------------------------------------------------


def cut_off(data: bytearray, chance: random.Random) -> bytes:
    return bytes(data[: chance.randrange(len(data))])


def flipped(data: bytearray, chance: random.Random) -> bytes:
    for _ in range(chance.choice([1, 1, 2, 8])):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(data)


def overwritten(data: bytearray, chance: random.Random) -> bytes:
    at, size = chance.randrange(len(data)), chance.choice([1, 4, 16, 64])
    data[at : at + size] = chance.choice([bytes(size), b"\xff" * size, chance.randbytes(size)])
    return bytes(data)


def at_the_end(data: bytearray, chance: random.Random) -> bytes:
    """Damage the last bytes, where a Parquet file says what is in it."""
    at = len(data) - 1 - chance.randrange(min(len(data), 900))
    data[at] = chance.choice([0, 0x7F, 0x80, 0xFF, chance.randrange(256)])
    return bytes(data)


def moved(data: bytearray, chance: random.Random) -> bytes:
    at, to, size = (chance.randrange(len(data)) for _ in range(3))
    piece = data[at : at + size % 100]
    del data[at : at + size % 100]
    data[to:to] = piece
    return bytes(data)


DAMAGES: tuple[Callable[[bytearray, random.Random], bytes], ...] = (
    cut_off,
    flipped,
    overwritten,
    at_the_end,
    moved,
)


def damaged_files() -> Iterator[tuple[str, bytes]]:
    """Yield names, which keep their suffixes, and contents."""
    chance = random.Random(20_26)
    for name, content in good_files().items():
        for damage in DAMAGES:
            for copy in range(COPIES):
                yield f"{damage.__name__}-{copy}-{name}", damage(bytearray(content), chance)


def write_corpus() -> None:
    with zipfile.ZipFile(CORPUS, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in damaged_files():
            # A fixed date: the same files make the same archive.
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0)), content)


if __name__ == "__main__":
    write_corpus()
