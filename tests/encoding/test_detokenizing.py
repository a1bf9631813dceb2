"""Files of token ids as text again."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_preset
from texts import CONFIG, tokenize, write_text_preset, write_texts

from fnet_cli.config import Settings
from fnet_cli.encoding.detokenizing import detokenized
from fnet_cli.encoding.options import TextOptions
from fnet_cli.errors import InputDataError, PresetError
from fnet_cli.presets.resolving import resolve_preset

TEXTS = ["the quick brown fox", "", "jumped over the lazy dog"]


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    directory = write_text_preset(tmp_path_factory.mktemp("preset"))
    return resolve_preset(str(directory), Settings())


def shown(preset, path, column: str = "token_ids", *, skip_special: bool = True):
    return list(detokenized(preset, str(path), None, column, skip_special=skip_special))


@pytest.mark.parametrize(("name", "first"), [("tokens.parquet", 0), ("tokens.jsonl", 1)])
def test_rows_are_their_texts_with_the_numbers_of_their_reader(preset, tmp_path, name, first):
    source = write_texts(tmp_path / "texts.parquet", TEXTS)
    tokenize(preset.directory, source, tmp_path / name)
    assert shown(preset, tmp_path / name) == list(enumerate(TEXTS, first))


def test_special_tokens_may_be_shown(preset, tmp_path):
    source = write_texts(tmp_path / "texts.parquet", ["the fox"], other=["dog"])
    options = {"text": TextOptions(pair_column="other"), "token_column": "ids"}
    tokenize(preset.directory, source, tmp_path / "tokens.parquet", **options)
    made = shown(preset, tmp_path / "tokens.parquet", "ids", skip_special=False)
    assert made == [(0, "[CLS] the fox [SEP] dog [SEP]")]


@pytest.mark.parametrize("kind", [pa.list_(pa.uint16()), pa.list_(pa.int64(), 2)])
def test_ids_may_be_of_every_kind_that_encode_reads(preset, tmp_path, kind):
    ids = preset.tokenizer()("dog")[:2]
    table = pa.table({"token_ids": pa.array([ids[:1] * 2], kind)})
    pq.write_table(table, tmp_path / "t.parquet")
    assert len(shown(preset, tmp_path / "t.parquet")) == 1


def test_an_empty_file_has_no_texts(preset, tmp_path):
    (tmp_path / "t.jsonl").write_text("")
    assert shown(preset, tmp_path / "t.jsonl") == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"token_ids": [1, 99999]}', "line 1: column token_ids: id 99999"),
        ('{"token_ids": null}', "line 1"),
        ('{"token_ids": "the fox"}', "column token_ids is string"),
        ('{"text": "the fox"}', "no column token_ids"),
    ],
)
def test_a_row_of_no_ids_is_named(preset, tmp_path, row, message):
    (tmp_path / "t.jsonl").write_text(row + "\n")
    with pytest.raises(InputDataError, match=message):
        shown(preset, tmp_path / "t.jsonl")


def test_a_preset_without_a_vocabulary_shows_nothing(tmp_path):
    write_preset(tmp_path / "bare", CONFIG)
    bare = resolve_preset(str(tmp_path / "bare"), Settings())
    with pytest.raises(PresetError, match="has no tokenizer"):
        shown(bare, tmp_path / "t.parquet")
