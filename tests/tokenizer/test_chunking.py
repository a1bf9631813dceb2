"""Long texts in overlapping chunks, each with its place in the text."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from vocabulary_kinds import KINDS, tokenizer, trained

from fnet_cli import FNetTokenizer
from fnet_cli.errors import InputDataError, UsageError
from fnet_cli.tokenizer.chunking import Chunks

# Characters that normalisation turns into several, into one with their neighbour, into a space
# or into nothing; emoji of several characters, other scripts, unknown ones, white space.
HARD = (
    "abcfox ﬁﬀ½㍿ﷺ①Å\u0301\u0308\u1100\u1161\u200b\u200d\ufeff\u00a0\u3000\u2028\n\t\0\x01"
    "👍🏽👩שلअ日"
)
hard_texts = st.text(st.sampled_from(HARD) | st.characters(exclude_categories=["Cs"]), max_size=30)
kinds = st.sampled_from(list(KINDS))


@st.composite
def sizes(draw) -> tuple[int, int]:
    size = draw(st.integers(1, 8))
    return size, draw(st.integers(0, size - 1))


def spans_of(chunks: Chunks) -> list[tuple[int, int]]:
    return list(zip(chunks.starts.tolist(), chunks.ends.tolist(), strict=True))


def shown(text: str, size: int, overlap: int = 0, kind: str = "as FNet's") -> list[str]:
    """Return what of `text` each chunk is of."""
    spans = spans_of(tokenizer(kind).chunks([text], size, overlap))
    return [text[start:end] for start, end in spans]


def windows(row: list[int], size: int, overlap: int) -> list[list[int]]:
    """Cut a row as it is told: a window, and another while tokens are left."""
    found = [row[:size]]
    start = 0
    while start + size < len(row):
        start += size - overlap
        found.append(row[start : start + size])
    return found


def test_chunks_say_their_text_their_number_and_their_place():
    texts = ["the quick brown fox", "a fox"]
    chunks = tokenizer("characters").chunks(texts, size=10)
    assert chunks.document.tolist() == [0, 0, 1]
    assert chunks.number.tolist() == [0, 1, 0]
    # A character's space counts, and one stands before the text.
    assert spans_of(chunks) == [(0, 9), (10, 19), (0, 5)]
    assert len(chunks) == 3


def test_the_next_chunk_repeats_the_last_tokens():
    wanted = ["the l", "lazy", "y fox"]  # `▁the▁l`, `▁lazy▁`, `y▁fox`
    assert shown("the lazy fox", size=6, overlap=2, kind="characters") == wanted


def test_a_text_that_fits_is_one_chunk():
    assert shown("the fox", size=100, overlap=99) == ["the fox"]


@pytest.mark.parametrize("text", ["", " ", "\n\u3000\t"])
def test_an_empty_or_blank_text_is_one_chunk_of_nothing(text):
    chunks = tokenizer().chunks(["the fox", text, "the fox"], size=100)
    assert chunks.document.tolist() == [0, 1, 2]
    assert spans_of(chunks)[1] == (0, 0)
    assert chunks.token_ids[1].as_py() == []


def test_places_count_characters_and_not_bytes_or_what_normalisation_makes_of_them():
    # `▁a▁` and four unknown characters in one; `▁b`.
    assert shown("a ㍿ b", size=4, kind="characters") == ["a ㍿", "b"]
    assert shown("👩👩👧 שלום é", size=3, kind="characters") == ["👩👩👧", "שלום é"]
    assert shown("ﬁve ﬁve", size=100) == ["ﬁve ﬁve"]


def test_a_character_that_becomes_several_tokens_is_in_the_chunk_of_each():
    assert shown("x👍", size=2, kind="bytes for unknown characters") == ["x", "👍", "👍"]
    assert shown("a ﬀ", size=2) == ["a ﬀ", "ﬀ"]  # `▁a▁f`, `f`


def test_characters_that_are_dropped_belong_to_the_chunk_beside_them():
    assert shown("\x01the\x02 \x03fox\x04", size=100) == ["\x01the\x02 \x03fox\x04"]


@settings(max_examples=400, deadline=None)
@given(texts=st.lists(hard_texts, max_size=3), size=sizes(), kind=kinds)
def test_chunks_are_windows_of_the_texts_tokens(texts, size, kind):
    chunks = tokenizer(kind).chunks(texts, *size)
    wanted = [windows(row, *size) for row in tokenizer(kind)(texts)]
    assert chunks.token_ids.to_pylist() == list(chain.from_iterable(wanted))
    assert chunks.document.tolist() == [at for at, rows in enumerate(wanted) for _ in rows]
    assert chunks.number.tolist() == [number for rows in wanted for number in range(len(rows))]


@settings(max_examples=600, deadline=None)
@given(text=hard_texts, size=sizes(), kind=kinds)
@example(text="\u200b\u200bq", size=(1, 0), kind="as FNet's")
@example(text="a\x01", size=(1, 0), kind="as FNet's")
def test_spans_cover_every_character_but_white_space_in_order(text, size, kind):
    spans = spans_of(tokenizer(kind).chunks([text], *size))
    covered = np.zeros(len(text), bool)
    for start, end in spans:
        assert 0 <= start <= end <= len(text)
        covered[start:end] = True
        assert text[start:end] == text[start:end].strip()
    assert spans == sorted(spans)
    missed = [character for character, seen in zip(text, covered, strict=True) if not seen]
    assert all(character.isspace() for character in missed), missed


@settings(max_examples=300, deadline=None)
@given(text=st.text("abcdefox ﬁﬀ①②Ａ\n", max_size=40), size=sizes())
def test_a_chunks_tokens_are_those_of_its_span(text, size):
    made = FNetTokenizer(trained())
    chunks = made.chunks([text], *size)
    for (start, end), row in zip(spans_of(chunks), chunks.token_ids.to_pylist(), strict=True):
        span = made.detokenize(made(text[start:end]))
        assert made.detokenize(row).strip() in span


def test_arrow_arrays_are_taken_as_well():
    texts = ["the quick brown fox", "a dog"]
    wanted = spans_of(tokenizer().chunks(texts, 3, 1))
    chunked = pa.chunked_array([texts[:1], texts[1:]])
    assert spans_of(tokenizer().chunks(chunked, 3, 1)) == wanted


def test_no_texts_give_no_chunks():
    chunks = tokenizer().chunks([], 3)
    assert len(chunks) == len(chunks.token_ids) == len(chunks.starts) == 0
    assert chunks.token_ids.type == pa.list_(pa.int32())


def test_all_numbers_are_int64():
    chunks = tokenizer().chunks(["the fox", ""], 2, 1)
    for array in (chunks.document, chunks.number, chunks.starts, chunks.ends):
        assert array.dtype == np.int64


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (4, 4), (4, 9), (4, -1)])
def test_sizes_that_get_nowhere_are_refused(size, overlap):
    with pytest.raises(UsageError, match="a chunk of|an overlap of") as caught:
        tokenizer().chunks(["the fox"], size, overlap)
    assert caught.value.hint


def test_a_single_text_or_one_that_is_none_is_refused():
    with pytest.raises(TypeError, match="a list of texts"):
        tokenizer().chunks("the fox", 2)
    with pytest.raises(InputDataError, match="lone surrogate"):
        tokenizer().chunks(["the \udc00"], 2)
