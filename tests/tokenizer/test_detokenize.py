"""Ids back to text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary_kinds import tokenizer

from fnet_cli.errors import InputDataError

SPECIAL = tokenizer().special
FOX = tokenizer()("the fox")


def test_a_row_becomes_a_text_and_rows_become_texts():
    assert tokenizer().detokenize(FOX) == "the fox"
    assert tokenizer().detokenize([FOX, [], FOX]) == ["the fox", "", "the fox"]
    assert tokenizer().detokenize([]) == ""
    assert tokenizer().detokenize([[]]) == [""]


@pytest.mark.parametrize(
    "rows",
    [(FOX, FOX), np.array([FOX, FOX]), [np.array(FOX, "u2")] * 2, pa.array([FOX, FOX]),
     pa.chunked_array([[FOX], [FOX]])],
    ids=["tuple", "matrix", "arrays", "Arrow", "chunked"],
)  # fmt: skip
def test_rows_may_be_numpys_or_arrows(rows):
    assert tokenizer().detokenize(rows) == ["the fox", "the fox"]


@pytest.mark.parametrize("rows", [pa.array([], pa.list_(pa.int32())), np.zeros((0, 4), int)])
def test_no_rows_are_no_texts(rows):
    assert tokenizer().detokenize(rows) == []


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["the", "fox", "[CLS]", "<pad>", "👍", "日本"])).map(" ".join))
def test_a_text_whose_characters_are_all_known_comes_back(text):
    made = tokenizer("bytes for unknown characters")
    assert made.detokenize(made(text)) == text


def test_special_tokens_are_left_out():
    row = [SPECIAL.cls, *FOX, SPECIAL.sep, SPECIAL.mask, SPECIAL.pad, SPECIAL.pad]
    assert tokenizer().detokenize(row) == "the fox"


def test_special_tokens_stand_as_words_where_they_are_asked_for():
    row = [SPECIAL.cls, *FOX, SPECIAL.sep, *FOX, SPECIAL.sep, SPECIAL.pad]
    assert tokenizer().detokenize(row, skip_special=False) == (
        "[CLS] the fox [SEP] the fox [SEP] <pad>"
    )


@pytest.mark.parametrize("skip_special", [True, False])
def test_an_unknown_character_shows(skip_special):
    row = tokenizer()("the ☃ fox")
    assert tokenizer().detokenize(row, skip_special=skip_special) == "the  ⁇  fox"


@pytest.mark.parametrize("bad", [-1, 10**6, 2**40])
def test_an_id_that_the_vocabulary_does_not_have_is_named_with_its_place(bad):
    with pytest.raises(InputDataError, match=rf"row 1: id {bad} at index 2 is not in \[0, "):
        tokenizer().detokenize([FOX, [*FOX[:2], bad]])


@pytest.mark.parametrize("row", [["the"], [0.5], [True], 7, [[FOX]]])
def test_what_is_no_row_of_ids_is_a_type_error(row):
    with pytest.raises(TypeError):
        tokenizer().detokenize(row)
