"""Encoding texts: the same numbers as tokenizing them first, row for row."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from jobs import vectors
from texts import CONFIG, TEXTS, tokenize, write_text_preset, write_texts

from fnet_cli.config import Settings
from fnet_cli.constants import OUTPUT_METADATA_KEY, TOKENS_METADATA_KEY
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import (
    EncodeOptions,
    OnNull,
    Padding,
    Pooling,
    TextOptions,
    Truncate,
)
from fnet_cli.encoding.plan import make_plan
from fnet_cli.errors import InputDataError

KINDS = {
    "one text": TextOptions(),
    "pairs": TextOptions(pair_column="other"),
    "chunks": TextOptions(chunk=5, overlap=2),
    "without nulls": TextOptions(column="other", on_null=OnNull.SKIP),
}


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture
def texts(tmp_path) -> Path:
    return write_texts(tmp_path / "texts.parquet", other=TEXTS[::-1])


def encode(preset: Path, source: Path, output: Path, **options):
    import pyarrow.parquet as pq

    options = {"preset": str(preset), **options}
    context = JobContext(settings=Settings(), stdin=io.BytesIO())
    report = encode_files(EncodeOptions((str(source),), str(output), **options), context)
    return report, pq.read_table(output)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("padding", [Padding.BUCKET, Padding.MAX])
def test_texts_encode_as_their_tokens_do(preset, texts, tmp_path, kind, padding):
    text = KINDS[kind]
    options = {"padding": padding, "pooling": Pooling.MEAN}
    report, direct = encode(preset, texts, tmp_path / "a.parquet", text=text, **options)
    tokenize(preset, texts, tmp_path / "tokens.parquet", text=text)
    _, in_two = encode(preset, tmp_path / "tokens.parquet", tmp_path / "b.parquet", **options)
    assert vectors(direct).tobytes() == vectors(in_two).tobytes()
    assert direct.schema.names == in_two.schema.names
    assert report.rows_out == in_two.num_rows


# JSON lines do not say that rows were left out.
TOKEN_FILES = [
    *(("tokens.parquet", kind) for kind in KINDS),
    *(("tokens.jsonl", kind) for kind in KINDS if kind != "without nulls"),
]


@pytest.mark.parametrize("operations", [1, 10**6, 10**9])
@pytest.mark.parametrize(("name", "kind"), TOKEN_FILES)
@pytest.mark.parametrize("padding", Padding)
def test_texts_and_their_tokens_are_compiled_alike(
    preset, texts, tmp_path, monkeypatch, name, kind, padding, operations
):
    monkeypatch.setattr(
        "fnet_cli.encoding.plan.COMPILING_PAYS_OPERATIONS", dict.fromkeys(Padding, operations)
    )
    tokens = tmp_path / name
    tokenize(preset, texts, tokens, text=KINDS[kind])
    plans = [
        make_plan(
            EncodeOptions((str(source),), "-", preset=str(preset), text=text, padding=padding),
            Settings(),
            io.BytesIO(),
        )
        for source, text in ((texts, KINDS[kind]), (tokens, None))
    ]
    assert plans[0].is_worth_compiling == plans[1].is_worth_compiling


def test_the_columns_are_those_of_the_input_and_the_embedding(preset, texts, tmp_path):
    _, table = encode(preset, texts, tmp_path / "out.parquet", text=TextOptions())
    assert table.schema.names == ["id", "text", "other", "embedding"]


def test_ids_of_the_input_give_way_to_its_texts(preset, texts, tmp_path):
    tokenize(preset, texts, tmp_path / "other.parquet", text=TextOptions(column="other"))
    _, table = encode(
        preset, tmp_path / "other.parquet", tmp_path / "a.parquet", text=TextOptions()
    )
    _, wanted = encode(preset, texts, tmp_path / "b.parquet", text=TextOptions())
    assert table.schema.names == wanted.schema.names
    assert vectors(table).tobytes() == vectors(wanted).tobytes()


def test_the_metadata_says_how_the_texts_were_read(preset, texts, tmp_path):
    text = TextOptions(chunk=5, overlap=2)
    report, table = encode(preset, texts, tmp_path / "out.parquet", text=text)
    record = json.loads(table.schema.metadata[OUTPUT_METADATA_KEY])
    assert (record["text_columns"], record["chunk"], record["overlap"]) == (["text"], 5, 2)
    assert report.settings["vocabulary_sha256"] == record["vocabulary_sha256"]


def test_a_file_of_tokens_read_as_texts_says_nothing_of_its_old_ids(preset, texts, tmp_path):
    tokenize(preset, texts, tmp_path / "tokens.parquet")
    _, table = encode(
        preset, tmp_path / "tokens.parquet", tmp_path / "a.parquet", text=TextOptions()
    )
    assert TOKENS_METADATA_KEY not in table.schema.metadata


def test_the_report_counts_what_was_cut_of_the_texts(preset, texts, tmp_path):
    options = {"sequence_length": 10, "text": TextOptions()}
    report, _ = encode(preset, texts, tmp_path / "out.parquet", **options)
    counted, _ = tokenize(preset, texts, tmp_path / "tokens.parquet", sequence_length=10)
    assert report.rows_truncated == counted.rows_truncated > 0
    assert (report.tokens, report.tokens_lost) == (counted.tokens, counted.tokens_lost)


def test_rows_without_text_that_are_left_out_are_counted(preset, tmp_path):
    source = write_texts(tmp_path / "t.jsonl", ["dog", None, "fox"])
    text = TextOptions(on_null=OnNull.SKIP)
    report, table = encode(preset, source, tmp_path / "out.parquet", text=text)
    assert table["id"].to_pylist() == [0, 2]
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (3, 2, 1)


def test_a_row_that_may_not_be_cut(preset, texts, tmp_path):
    with pytest.raises(InputDataError, match=r"row 3: column text: \d+ tokens, over"):
        encode(preset, texts, tmp_path / "out.parquet", text=TextOptions(), truncate=Truncate.ERROR)
    assert not (tmp_path / "out.parquet").exists()


def test_a_file_of_text_without_ids_says_how_it_is_read(preset, texts, tmp_path):
    with pytest.raises(InputDataError, match="no column token_ids, but one of text") as raised:
        encode(preset, texts, tmp_path / "out.parquet")
    assert raised.value.hint == "--text-column text encodes it"


def test_a_plan_of_texts_knows_the_rows_but_not_the_tokens(preset, texts):
    options = EncodeOptions((str(texts),), "-", preset=str(preset), text=TextOptions(), limit=4)
    plan = make_plan(options, Settings(), io.BytesIO())
    assert (plan.rows, plan.tokens) == (4, None)
    assert plan.shape.sequence_length == CONFIG.max_sequence_length


def test_thousands_of_files_of_texts_are_numbered_through(tmp_path, preset):
    (tmp_path / "d").mkdir()
    for number in range(1200):
        (tmp_path / f"d/{number:04}.txt").write_text("the fox\n" * (number % 3))
    _, table = tokenize(
        preset, tmp_path / "d", tmp_path / "out.parquet", text=TextOptions(chunk=40)
    )
    assert table["document"].to_pylist() == list(range(1200))
