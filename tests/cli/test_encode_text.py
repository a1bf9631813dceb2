"""`fnet encode` on texts, as a user runs it: the same vectors as in two steps, or one line."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_preset
from running import run_fnet, run_shell

from fnet_cli.cli.main import main

EXAMPLE = Path(__file__).parents[2] / "docs/examples/sentences.parquet"
# A row in which nothing fits, white space, and what no vocabulary has.
ODD_TEXTS = [
    "",
    "  ",
    "\N{SNOWMAN}\N{VARIATION SELECTOR-16}",
    "[CLS] not a token [SEP]",
    "x" * 5000,
]


@pytest.fixture
def texts(tmp_path) -> Path:
    glosses = pq.read_table(EXAMPLE)["text"].to_pylist()[:40] + ODD_TEXTS
    table = pa.table({"id": range(len(glosses)), "text": glosses, "other": glosses[::-1]})
    pq.write_table(table, tmp_path / "texts.parquet")
    return tmp_path / "texts.parquet"


def embeddings(path: Path) -> bytes:
    return pq.read_table(path)["embedding"].combine_chunks().flatten().to_numpy().tobytes()


@pytest.mark.parametrize("padding", ["bucket", "max", "none"])
@pytest.mark.parametrize(
    "flags",
    [[], ["--pair-column", "other"], ["--chunk", "6", "--overlap", "2"]],
    ids=["one-text", "pairs", "chunks"],
)
def test_texts_encode_as_their_tokens_do(texts, tmp_path, flags, padding):
    # In this process, so that TensorFlow starts once for all.
    text = ["--text-column", "text", *flags, "-q"]
    how = ["--padding", padding, "--sequence-length", "64"]
    direct, tokens, in_two = (str(tmp_path / f"{name}.parquet") for name in ("a", "t", "b"))
    assert main(["encode", str(texts), "-o", direct, *text, *how]) == 0
    assert main(["tokenize", str(texts), "-o", tokens, *text, "--sequence-length", "64"]) == 0
    assert main(["encode", tokens, "-o", in_two, "-q", *how]) == 0
    assert embeddings(tmp_path / "a.parquet") == embeddings(tmp_path / "b.parquet")


def test_texts_encode_as_their_tokens_through_a_pipe_do(tmp_path):
    ran = run_shell(
        f"cd {tmp_path} && printf 'The quick brown fox.\\n\\nIt jumped.\\n' > t.txt && "
        "fnet encode t.txt -o a.parquet --padding max -q && "
        "fnet tokenize t.txt -o - -q | fnet encode - -o b.parquet --padding max -q"
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert embeddings(tmp_path / "a.parquet") == embeddings(tmp_path / "b.parquet")


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["t.csv"], "t.csv: there is no column token_ids, but one of text", 3),
        (["t.csv", "--text-column", "body"], "t.csv: there is no column body", 3),
        (["t.csv", "--pair-column", "answer"], "t.csv: there is no column answer", 3),
        (["t.jsonl", "--text-column", "text"], "t.jsonl: line 2: column text is null", 3),
        (["t.jsonl", "--text-column", "id"], "t.jsonl: line 1: column id is int64, not text", 3),
        (["latin.csv", "--text-column", "text"], "latin.csv: line 3: not valid UTF-8", 3),
        (["latin.jsonl", "--on-null", "skip"], "latin.jsonl: line 2: ", 3),
        (["t.csv", "--chunk", "4", "--pair-column", "id"], "a chunk is of one text", 2),
        (["t.csv", "--chunk", "100000"], "are over the sequence length", 2),
        (["t.csv", "--text-column", "text", "--preset", "./bare"], "has no tokenizer", 4),
        (["-", "--input-format", "parquet"], "<stdin>: not a complete Parquet file", 3),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, arguments, message, code):
    write_preset(tmp_path / "bare")
    (tmp_path / "t.csv").write_text("id,text\n1,dog\n")
    (tmp_path / "t.jsonl").write_text('{"id": 1, "text": "dog"}\n{"id": 2, "text": null}\n')
    (tmp_path / "latin.csv").write_bytes(b"id,text\n1,dog\n2,caf\xe9\n")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "dog"}\n{"text": "caf\xe9"}\n')
    before = sorted(tmp_path.iterdir())
    ran = run_fnet("encode", *arguments, "-o", "o.parquet", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert ran.stderr.startswith("fnet: error: ")
    assert message in ran.stderr.splitlines()[0]
    assert all(line.startswith("fnet: hint: ") for line in ran.stderr.splitlines()[1:])
    assert sorted(tmp_path.iterdir()) == before
