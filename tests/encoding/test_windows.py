"""Which rows are embedded and written together: the same ones, however a format is read."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from texts import tokenize, write_text_preset

from fnet_cli.config import Settings
from fnet_cli.encoding.options import EncodeOptions, InputFormat, TextOptions
from fnet_cli.encoding.plan import make_plan
from fnet_cli.encoding.readers.base import RowBatch
from fnet_cli.encoding.windows import windows

LINES = [f"{'the fox ' * (number % 7)}dog" for number in range(23)]
ROWS = 5


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture
def text(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr("fnet_cli.encoding.readers.lines.LINE_BLOCK_BYTES", 64)
    path = tmp_path / "lines.txt"
    path.write_text("\n".join(LINES) + "\n")
    return path


def windows_of(preset: Path, source: Path | str, stdin: bytes = b"", **options) -> list[RowBatch]:
    made = EncodeOptions((str(source),), "-", preset=str(preset), **options)
    plan = make_plan(made, Settings(), io.BytesIO(stdin))
    return list(windows(replace(plan, target=replace(plan.target, row_group_rows=ROWS))))


def test_windows_are_full_but_for_the_last(preset, text):
    assert [len(window.numbers) for window in windows_of(preset, text)] == [5, 5, 5, 5, 3]


def test_rows_keep_their_order_and_their_places(preset, text):
    made = windows_of(preset, text, columns=("text",))
    assert [row for window in made for row in window.batch["text"].to_pylist()] == LINES
    assert [number for window in made for number in window.numbers] == list(range(1, 24))


@pytest.mark.parametrize("name", ["tokens.parquet", "tokens.jsonl"])
@pytest.mark.parametrize("options", [TextOptions(), TextOptions(chunk=4, overlap=1)])
def test_texts_and_their_tokens_stand_in_the_same_windows(preset, text, tmp_path, name, options):
    tokens = tmp_path / name
    tokenize(preset, text, tokens, text=options)
    direct, in_two = windows_of(preset, text, text=options), windows_of(preset, tokens)
    assert [window.batch["token_ids"].to_pylist() for window in direct] == [
        window.batch["token_ids"].to_pylist() for window in in_two
    ]


def test_rows_that_are_large_do_not_wait_for_a_full_window(preset, text, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.windows.MAX_READ_BYTES", 1)
    assert len(windows_of(preset, text)) > len(LINES) / ROWS


def test_rows_on_a_pipe_do_not_wait_for_a_full_window(preset, text):
    kind = InputFormat.TEXT
    made = windows_of(preset, "-", text.read_bytes(), input_format=kind)
    assert len(made) > len(windows_of(preset, text))
    assert [row for window in made for row in window.batch["text"].to_pylist()] == LINES


def test_parts_with_dictionaries_of_their_own_are_joined():
    parts = [
        RowBatch(
            pa.record_batch({"kind": pa.array(values).dictionary_encode()}),
            "a.parquet",
            "row",
            np.arange(start, start + len(values)),
            np.arange(len(values)),
        )
        for start, values in ((0, ["a", "b"]), (2, ["c", "a"]))
    ]
    joined = RowBatch.joined(parts)
    assert joined.batch["kind"].to_pylist() == ["a", "b", "c", "a"]
    assert joined.where(2) == "a.parquet: row 2"
    assert joined.cut.tolist() == [0, 1, 0, 1]
