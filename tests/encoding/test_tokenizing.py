"""Texts as a job reads them: tokenized, cut, left out, counted, or refused with their place."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_preset
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import CONFIG, TEXTS, tokenize, write_text_preset, write_texts

from fnet_cli import FNetTokenizer
from fnet_cli.constants import OUTPUT_METADATA_KEY, TOKENS_METADATA_KEY
from fnet_cli.encoding.options import (
    InputFormat,
    OnNull,
    PairTruncate,
    TextOptions,
    Truncate,
)
from fnet_cli.errors import InputDataError, OutputError, PresetError, UsageError
from fnet_cli.presets.fingerprint import file_sha256

CHUNKS = TextOptions(chunk=4, overlap=1)


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="module")
def tokenizer(preset) -> FNetTokenizer:
    return FNetTokenizer.from_preset(str(preset))


@pytest.fixture
def texts(tmp_path) -> Path:
    return write_texts(tmp_path / "texts.parquet")


def left_behind(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir() if "out" in path.name}


def test_a_row_is_its_text_between_cls_and_sep(preset, tokenizer, texts, tmp_path):
    _, table = tokenize(preset, texts, tmp_path / "out.parquet")
    cls, sep = tokenizer.cls_token_id, tokenizer.sep_token_id
    wanted = [[cls, *tokenizer(text)[:46], sep] for text in TEXTS]
    assert table["token_ids"].to_pylist() == wanted
    assert table["segment_ids"].to_pylist() == [[0] * len(row) for row in wanted]


def test_every_other_column_is_kept(preset, texts, tmp_path):
    _, table = tokenize(preset, texts, tmp_path / "out.parquet")
    assert table.schema.names == ["id", "text", "token_ids", "segment_ids"]
    assert table["text"].to_pylist() == list(TEXTS)


def test_the_columns_of_ids_may_have_other_names(preset, texts, tmp_path):
    _, table = tokenize(
        preset, texts, tmp_path / "out.parquet", columns=(), token_column="t", segment_column="s"
    )
    assert table.schema.names == ["t", "s"]


def test_the_report_counts_rows_tokens_and_what_was_cut(preset, tokenizer, texts, tmp_path):
    report, _ = tokenize(preset, texts, tmp_path / "out.parquet", sequence_length=10)
    lengths = [len(tokenizer(text)) for text in TEXTS]
    assert (report.rows_in, report.rows_out, report.documents) == (7, 7, 7)
    assert report.tokens == sum(min(length + 2, 10) for length in lengths)
    assert report.rows_truncated == sum(length > 8 for length in lengths)
    assert report.tokens_lost == sum(max(length - 8, 0) for length in lengths)


def test_the_metadata_says_how_the_ids_were_made(preset, texts, tmp_path):
    _, table = tokenize(preset, texts, tmp_path / "out.parquet", sequence_length=20)
    record = json.loads(table.schema.metadata[TOKENS_METADATA_KEY])
    assert record["sequence_length"] == 20
    assert record["text_columns"] == ["text"]
    assert record["vocabulary_sha256"] == file_sha256(preset / "assets/tokenizer/vocabulary.spm")
    assert OUTPUT_METADATA_KEY not in table.schema.metadata


def test_json_lines_on_standard_output(preset, texts):
    stdout = io.BytesIO()
    tokenize(preset, texts, "-", stdout=stdout, columns=("id",))
    rows = [json.loads(line) for line in stdout.getvalue().splitlines()]
    assert [row["id"] for row in rows] == list(range(7))
    assert set(rows[0]) == {"id", "token_ids", "segment_ids"}


def test_a_column_named_embedding_is_a_column_like_others(preset, tmp_path):
    source = write_texts(tmp_path / "t.parquet", ["dog"], embedding=["of a tree"])
    stdout = io.BytesIO()
    tokenize(preset, source, "-", stdout=stdout)
    assert json.loads(stdout.getvalue())["embedding"] == "of a tree"


@pytest.mark.parametrize("name", ["lines.txt", "lines.txt.gz", "-"])
def test_plain_text_is_a_row_a_line(preset, tokenizer, tmp_path, name):
    import gzip

    data = b"the fox\n\ndog\n"
    stdin = io.BytesIO(data)
    if name != "-":
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    source = name if name == "-" else tmp_path / name
    kind = InputFormat.TEXT if name == "-" else None
    _, table = tokenize(preset, source, tmp_path / "out.parquet", stdin=stdin, input_format=kind)
    assert table["text"].to_pylist() == ["the fox", "", "dog"]
    assert [len(row) for row in table["token_ids"].to_pylist()][1] == 2


def test_a_column_of_a_csv_file(preset, tokenizer, tmp_path):
    (tmp_path / "t.csv").write_text('id,body\n1,"the fox, the dog"\n2,"two\nlines"\n')
    options = {"text": TextOptions(column="body")}
    _, table = tokenize(preset, tmp_path / "t.csv", tmp_path / "out.parquet", **options)
    assert table["body"].to_pylist() == ["the fox, the dog", "two\nlines"]


# --- Pairs ------------------------------------------------------------------------------------


@pytest.mark.parametrize("truncate", PairTruncate)
def test_pairs_are_cut_as_asked_and_told_apart(preset, tokenizer, tmp_path, truncate):
    source = write_texts(tmp_path / "t.parquet", ["the quick brown fox"], other=["lazy dog " * 4])
    text = TextOptions(pair_column="other", pair_truncate=truncate)
    _, table = tokenize(preset, source, tmp_path / "out.parquet", text=text, sequence_length=16)
    (ids,), (segments,) = table["token_ids"].to_pylist(), table["segment_ids"].to_pylist()
    first = len(tokenizer("the quick brown fox"))
    kept = min(first, 13) if truncate is PairTruncate.WATERFALL else max(7, 13 - len(ids))
    assert len(ids) == 16
    assert segments == [0] * (kept + 2) + [1] * (14 - kept)


# --- Chunks -----------------------------------------------------------------------------------


def test_chunks_say_where_they_are_from(preset, tmp_path):
    source = write_texts(tmp_path / "t.parquet")
    report, table = tokenize(preset, source, tmp_path / "out.parquet", text=CHUNKS)
    assert table.schema.names == [
        "id", "document", "chunk", "char_start", "char_end", "token_ids", "segment_ids",
    ]  # fmt: skip
    assert report.documents == len(TEXTS)
    assert report.rows_in == report.rows_out == table.num_rows
    assert report.rows_truncated == 0
    for row in table.to_pylist():
        assert row["id"] == row["document"]
        assert 0 <= row["char_start"] <= row["char_end"] <= len(TEXTS[row["document"]])


def test_the_chunks_of_a_text_cover_it(preset, tmp_path):
    source = write_texts(tmp_path / "t.parquet", [TEXTS[3]])
    _, table = tokenize(preset, source, tmp_path / "out.parquet", text=CHUNKS)
    rows = table.to_pylist()
    assert [row["chunk"] for row in rows] == list(range(len(rows)))
    assert (rows[0]["char_start"], rows[-1]["char_end"]) == (0, len(TEXTS[3].rstrip()))
    for before, after in pairwise(rows):
        assert not TEXTS[3][before["char_end"] : after["char_start"]].strip()
        assert after["token_ids"][1] == before["token_ids"][-2]  # the overlap


def test_documents_count_on_from_file_to_file(preset, tmp_path):
    first = write_texts(tmp_path / "a.parquet", ["dog", "fox"])
    second = write_texts(tmp_path / "b.jsonl", ["dog"])
    _, table = tokenize(preset, [first, second], tmp_path / "out.parquet", text=CHUNKS)
    assert table["document"].to_pylist()[-1] == 2


def test_chunk_columns_stay_where_others_are_chosen(preset, texts, tmp_path):
    _, table = tokenize(preset, texts, tmp_path / "out.parquet", text=CHUNKS, columns=("text",))
    assert table.schema.names[:2] == ["text", "document"]


def test_a_limit_is_of_texts(preset, texts, tmp_path):
    report, table = tokenize(preset, texts, tmp_path / "out.parquet", text=CHUNKS, limit=2)
    assert (report.documents, set(table["document"].to_pylist())) == (2, {0, 1})


@settings(max_examples=20, deadline=None)
@given(
    texts=st.lists(st.text("the quick\n 狐é", max_size=60), min_size=1, max_size=5),
    chunk=st.integers(1, 9),
    overlap=st.integers(0, 8),
)
def test_chunks_hold_every_token_once_but_for_the_overlap(
    preset, tokenizer, tmp_path_factory, texts, chunk, overlap
):
    overlap = min(overlap, chunk - 1)
    directory = tmp_path_factory.mktemp("chunks")
    source = write_texts(directory / "t.parquet", texts)
    text = TextOptions(chunk=chunk, overlap=overlap)
    _, table = tokenize(preset, source, directory / "out.parquet", text=text)
    for document, whole in enumerate(texts):
        rows = [row for row in table.to_pylist() if row["document"] == document]
        ids = [row["token_ids"][1:-1] for row in rows]
        assert all(len(row) <= chunk for row in ids)
        assert [*ids[0], *(id for row in ids[1:] for id in row[overlap:])] == tokenizer(whole)


@pytest.mark.parametrize(
    "wrong",
    [{"chunk": 0}, {"chunk": 4, "overlap": 4}, {"chunk": 4, "overlap": -1}, {"overlap": 2},
     {"chunk": 4, "pair_column": "other"}],
)  # fmt: skip
def test_chunks_that_cannot_be(wrong):
    with pytest.raises(UsageError):
        TextOptions(**wrong)


def test_a_chunk_has_to_fit_the_sequence_length(preset, texts, tmp_path):
    with pytest.raises(UsageError, match="--chunk 47 .* sequence length of 48"):
        tokenize(preset, texts, tmp_path / "out.parquet", text=TextOptions(chunk=47))


# --- Nulls ------------------------------------------------------------------------------------


@pytest.fixture
def with_null(tmp_path) -> Path:
    return write_texts(tmp_path / "t.parquet", ["dog", None, "fox", None])


def test_a_null_text_is_an_error_that_says_where(preset, with_null, tmp_path):
    with pytest.raises(InputDataError, match=r"t\.parquet: row 1: column text is null") as raised:
        tokenize(preset, with_null, tmp_path / "out.parquet")
    assert "--on-null" in raised.value.hint
    assert not left_behind(tmp_path)


def test_a_null_text_may_count_as_empty(preset, with_null, tmp_path):
    text = TextOptions(on_null=OnNull.EMPTY)
    report, table = tokenize(preset, with_null, tmp_path / "out.parquet", text=text)
    assert [len(row) == 2 for row in table["token_ids"].to_pylist()] == [False, True] * 2
    assert report.rows_rejected == 0


@pytest.mark.parametrize("chunk", [None, 4])
def test_a_row_without_text_may_be_left_out_and_is_counted(preset, with_null, tmp_path, chunk):
    text = TextOptions(on_null=OnNull.SKIP, chunk=chunk)
    report, table = tokenize(preset, with_null, tmp_path / "out.parquet", text=text)
    assert table["id"].to_pylist() == [0, 2]
    assert (report.rows_in, report.rows_out, report.rows_rejected) == (4, 2, 2)


def test_a_pair_lacks_a_text_where_either_is_null(preset, tmp_path):
    source = write_texts(tmp_path / "t.parquet", ["dog", None, "fox"], other=[None, "dog", "fox"])
    text = TextOptions(pair_column="other", on_null=OnNull.SKIP)
    _, table = tokenize(preset, source, tmp_path / "out.parquet", text=text)
    assert table["id"].to_pylist() == [2]


# --- What is refused --------------------------------------------------------------------------


def test_invalid_utf8_in_json_lines_is_named_with_its_line(preset, tmp_path):
    (tmp_path / "t.jsonl").write_bytes(b'{"text": "dog"}\n{"text": "d\xff"}\n')
    with pytest.raises(InputDataError, match=r"t\.jsonl: line 2"):
        tokenize(preset, tmp_path / "t.jsonl", tmp_path / "out.parquet")
    assert not left_behind(tmp_path)


def test_invalid_utf8_in_csv_is_named_with_its_line(preset, tmp_path):
    (tmp_path / "t.csv").write_bytes(b"text\ndog\nd\xff\n")
    with pytest.raises(InputDataError, match=r"t\.csv: line 3"):
        tokenize(preset, tmp_path / "t.csv", tmp_path / "out.parquet")
    assert not left_behind(tmp_path)


def test_invalid_utf8_in_parquet_is_named_with_its_row(preset, tmp_path):
    raw = pa.array([b"dog", b"d\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": raw}), tmp_path / "t.parquet")
    with pytest.raises(InputDataError, match=r"row 1: column text: not valid UTF-8: byte 2"):
        tokenize(preset, tmp_path / "t.parquet", tmp_path / "out.parquet")


@pytest.mark.parametrize(
    ("column", "message"),
    [("id", "column id is int64, not text"), ("body", "no column body")],
)
def test_a_column_that_is_no_text(preset, texts, tmp_path, column, message):
    with pytest.raises(InputDataError, match=message):
        tokenize(preset, texts, tmp_path / "out.parquet", text=TextOptions(column=column))


def test_a_number_among_json_texts_is_named_with_its_line(preset, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "dog"}\n{"text": 7}\n')
    with pytest.raises(InputDataError, match=r"t\.jsonl: line 2"):
        tokenize(preset, tmp_path / "t.jsonl", tmp_path / "out.parquet")


@pytest.mark.parametrize("name", ["token_ids", "segment_ids"])
def test_a_column_of_ids_that_is_there_already_is_not_overwritten(preset, tmp_path, name):
    source = write_texts(tmp_path / "t.parquet", ["dog"], **{name: [[1, 2]]})
    with pytest.raises(InputDataError, match=f"there is a column {name} already"):
        tokenize(preset, source, tmp_path / "out.parquet")


def test_a_row_that_may_not_be_cut(preset, texts, tmp_path):
    with pytest.raises(InputDataError, match=r"row 3: column text: \d+ tokens, over"):
        tokenize(preset, texts, tmp_path / "out.parquet", truncate=Truncate.ERROR)
    assert not left_behind(tmp_path)


def test_a_preset_without_a_vocabulary(texts, tmp_path):
    write_preset(tmp_path / "bare", CONFIG)
    with pytest.raises(PresetError, match="has no tokenizer"):
        tokenize(tmp_path / "bare", texts, tmp_path / "out.parquet")


def test_a_vocabulary_that_is_larger_than_the_model(texts, tmp_path):
    preset = write_text_preset(tmp_path / "p")
    config = json.loads((preset / "config.json").read_text())
    config["config"]["vocabulary_size"] = 20
    (preset / "config.json").write_text(json.dumps(config))
    with pytest.raises(PresetError, match="the model has 20 ids"):
        tokenize(preset, texts, tmp_path / "out.parquet")


@pytest.mark.parametrize("length", [0, 49])
def test_a_sequence_length_that_the_model_does_not_have(preset, texts, tmp_path, length):
    with pytest.raises(UsageError, match=f"--sequence-length {length} is not in 1..48"):
        tokenize(preset, texts, tmp_path / "out.parquet", sequence_length=length)


def test_a_failed_run_keeps_the_old_output(preset, with_null, tmp_path):
    output = tmp_path / "out.parquet"
    output.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        tokenize(preset, with_null, output)
    with pytest.raises(InputDataError):
        tokenize(preset, with_null, output, overwrite=True)
    assert output.read_text() == "precious"


def test_no_rows_are_no_rows(preset, tmp_path):
    (tmp_path / "t.txt").write_text("")
    report, table = tokenize(preset, tmp_path / "t.txt", tmp_path / "out.parquet")
    assert (report.rows_in, table.num_rows) == (0, 0)
    assert "token_ids" in table.schema.names


def test_widths_of_the_ids_are_those_that_encode_reads(preset, texts, tmp_path):
    _, table = tokenize(preset, texts, tmp_path / "out.parquet")
    assert table.schema.field("token_ids").type.value_type == pa.int32()
    assert np.all(np.diff(table["id"].to_numpy()) == 1)
