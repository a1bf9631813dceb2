"""Whatever a text says and whatever a vocabulary allows: no special token comes of it."""

from __future__ import annotations

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from vocabulary_kinds import KINDS, tokenizer, trained

from fnet_cli import FNetTokenizer
from fnet_cli.errors import PresetError
from fnet_cli.tokenizer.model_proto import with_control_pieces

SPECIAL = ["[CLS]", "[SEP]", "<pad>", "[MASK]", "<unk>"]
LITERALS = "[CLS] <pad> [SEP] [MASK] <unk>[CLS][MASK]x"
# All that may be user-defined: the trainer wants <unk>, and <pad> where it has an id.
USER_DEFINED = {
    "user_defined_symbols": "[CLS],[SEP],[MASK],<pad>,fox", "control_symbols": "", "pad_id": -1,
}  # fmt: skip
PLACES = [USER_DEFINED, {**USER_DEFINED, "model_type": "bpe"}, KINDS["user-defined pieces"]]


def raw(model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(text=st.lists(st.sampled_from([*SPECIAL, " ", "a", "[", "]", "▁"])).map("".join))
def test_no_text_gives_a_special_id(kind, text):
    assert tokenizer(kind).special.never_text.isdisjoint(tokenizer(kind)(text))


@pytest.mark.parametrize("options", PLACES)
def test_user_defined_special_pieces_are_never_found_in_text(options):
    model = trained(**options)
    made = FNetTokenizer(model)
    assert made.special.never_text & set(raw(model).encode(LITERALS))
    assert not made.special.never_text & set(made(LITERALS))


@pytest.mark.parametrize("options", PLACES)
def test_other_texts_and_other_user_defined_pieces_are_tokenized_as_before(options):
    model = trained(**options)
    for text in ("the quick brown fox", "foxfox [CL S]", "A figure: 1 2 3", "שלום"):
        assert FNetTokenizer(model)(text) == raw(model).encode(text)


def test_the_vocabulary_is_kept_and_saved_as_it_came():
    model = trained(**USER_DEFINED)
    assert FNetTokenizer(model).proto == model


def test_literal_special_pieces_come_back_as_the_text_they_were():
    made = tokenizer("bytes for unknown characters")
    assert made.detokenize(made(LITERALS)) == LITERALS


def test_a_vocabulary_whose_unknown_characters_become_another_piece_is_refused():
    model = trained(unk_piece="[CLS]", control_symbols="[SEP],[MASK],<unk>")
    with pytest.raises(PresetError, match=r"unknown characters become '\[CLS\]', not <unk>"):
        FNetTokenizer(model)


def test_a_piece_that_becomes_a_control_piece_keeps_its_id_and_its_name():
    model = trained(**USER_DEFINED)
    before = raw(model)
    index = before.piece_to_id("[MASK]")
    after = raw(with_control_pieces(model, {index}))
    assert not before.is_control(index)
    assert after.is_control(index)
    assert [after.id_to_piece(i) for i in range(len(after))] == [
        before.id_to_piece(i) for i in range(len(before))
    ]


def test_a_model_without_changes_keeps_its_bytes():
    assert with_control_pieces(trained(), set()) == trained()


@pytest.mark.parametrize("damaged", [b"\x0a\x10short", b"\x0a", b"\xff", b"\x0b"])
def test_bytes_that_are_no_protocol_buffer_are_refused(damaged):
    with pytest.raises(PresetError, match="the vocabulary"):
        with_control_pieces(damaged, {0})


def test_long_pieces_are_measured_right():
    name = "x" * 300  # a length of two bytes
    piece = b"\x0a" + bytes((300 & 0x7F | 0x80, 300 >> 7)) + name.encode()
    field = b"\x0a" + bytes((len(piece) & 0x7F | 0x80, len(piece) >> 7)) + piece
    longer = len(piece) + 2
    changed = b"\x0a" + bytes((longer & 0x7F | 0x80, longer >> 7)) + piece + b"\x18\x03"
    assert with_control_pieces(field * 2, {1}) == field + changed
