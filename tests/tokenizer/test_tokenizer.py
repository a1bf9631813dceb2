"""Texts to ids with sentencepiece, and the vocabulary as KerasHub's API shows it."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pyarrow as pa
import pytest
from builders import add_vocabulary, vocabulary
from vocabulary_kinds import tokenizer, trained

from fnet_cli import FNetTokenizer
from fnet_cli.errors import InputDataError, PresetError


def pieces(text: str) -> list[str]:
    return [tokenizer().id_to_token(index) for index in tokenizer().tokenize(text)]


def test_a_text_becomes_ids_and_a_list_of_texts_lists_of_them():
    one = tokenizer()("the fox")
    assert one == tokenizer().tokenize("the fox")
    assert tokenizer()(["the fox", "", "the fox"]) == [one, [], one]


def test_nothing_is_added_around_a_text():
    assert "".join(pieces("the lazy fox")) == "▁the▁lazy▁fox"


@pytest.mark.parametrize("text", ["", " ", "\n\t ", "\u3000", "\x01\x02"])
def test_an_empty_or_blank_text_has_no_ids(text):
    assert tokenizer()(text) == []


def test_a_nul_is_a_character_like_any_other():
    assert tokenizer()("the\0fox") == tokenizer()("the☃fox")
    assert tokenizer().unk_token_id in tokenizer()("\0")


@pytest.mark.parametrize(("texts", "row"), [("a\ud800b", 0), (["fine", "a\ud800b"], 1)])
def test_half_a_character_is_refused_with_its_place(texts, row):
    with pytest.raises(InputDataError, match=rf"text {row}: character 1 .* U\+D800") as caught:
        tokenizer()(texts)
    assert "replace" in caught.value.hint


@pytest.mark.parametrize("inputs", [["a", None], [b"a"], [["a"]]])
def test_what_is_no_text_is_a_type_error_that_names_it(inputs):
    with pytest.raises(TypeError, match=r"text \d is no str but"):
        tokenizer()(inputs)


def test_a_vocabulary_is_taken_as_bytes_or_as_a_path(tmp_path):
    path = add_vocabulary(tmp_path, trained())
    for proto in (trained(), path, str(path)):
        assert FNetTokenizer(proto)("the fox") == tokenizer()("the fox")


@pytest.mark.parametrize("proto", [b"", b"not a model", trained()[:100]])
def test_bytes_that_are_no_vocabulary_are_refused(proto):
    with pytest.raises(PresetError, match="proto: "):
        FNetTokenizer(proto)


@pytest.mark.parametrize("missing", ["[CLS]", "[SEP]", "[MASK]"])
def test_a_vocabulary_without_a_special_piece_is_refused_with_its_name(missing):
    present = [piece for piece in ("[CLS]", "[SEP]", "[MASK]") if piece != missing]
    with pytest.raises(PresetError, match=rf"no piece \{missing}"):
        FNetTokenizer(vocabulary(pieces=present))


def test_special_tokens_have_the_names_and_ids_that_kerashub_gives_them():
    special, made = tokenizer().special, tokenizer()
    assert (made.cls_token, made.cls_token_id) == ("[CLS]", special.cls)
    assert (made.sep_token, made.sep_token_id) == ("[SEP]", special.sep)
    assert (made.pad_token, made.pad_token_id) == ("<pad>", special.pad)
    assert (made.mask_token, made.mask_token_id) == ("[MASK]", special.mask)
    assert (made.unk_token, made.unk_token_id) == ("<unk>", special.unk)
    assert (made.start_token_id, made.end_token_id) == (special.cls, special.sep)


def test_the_vocabulary_maps_ids_to_pieces_and_back():
    listed = tokenizer().get_vocabulary()
    assert len(listed) == tokenizer().vocabulary_size()
    for index, piece in enumerate(listed):
        assert tokenizer().id_to_token(index) == piece
        assert tokenizer().token_to_id(piece) == index


def test_an_unknown_piece_has_the_id_of_unk():
    for piece in ("no such piece", "", "\ud800"):
        assert tokenizer().token_to_id(piece) == tokenizer().unk_token_id


@pytest.mark.parametrize("index", [-1, 10**6])
def test_an_id_outside_the_vocabulary_has_no_piece(index):
    with pytest.raises(ValueError, match=rf"id {index} is not in \[0, "):
        tokenizer().id_to_token(index)


def test_a_tokenizer_can_be_sent_to_another_process():
    sent = pickle.loads(pickle.dumps(tokenizer("user-defined pieces")))
    assert sent("a [MASK] fox") == tokenizer("user-defined pieces")("a [MASK] fox")


def test_no_framework_is_started():
    code = (
        "import sys; from fnet_cli import FNetTokenizer; from fnet_cli.tokenizer import packing;"
        "FNetTokenizer.from_preset('f_net_mini_en').chunks(['the fox'], 2);"
        "print({'keras', 'tensorflow', 'google.protobuf'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "set()\n", ran.stderr


TEXT_TYPES = [
    pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()),
]  # fmt: skip


@pytest.mark.parametrize("kind", TEXT_TYPES, ids=str)
def test_strings_of_all_of_arrows_types_become_lists_of_int32(kind):
    texts = ["the fox", "", "שלום 👍🏽"]
    made = tokenizer().tokenize_arrow(pa.array(texts, pa.string()).cast(kind))
    assert made.type == pa.list_(pa.int32())
    assert made.to_pylist() == tokenizer()(texts)


def test_slices_and_chunks_of_arrow_arrays_are_read_as_they_show():
    texts = pa.array(["hidden", "the fox", "", "a dog"])
    wanted = tokenizer()(["the fox", "", "a dog"])
    assert tokenizer().tokenize_arrow(texts[1:]).to_pylist() == wanted
    chunked = pa.chunked_array([texts[1:2], texts[:0], texts[2:]])
    assert tokenizer().tokenize_arrow(chunked).to_pylist() == wanted


@pytest.mark.parametrize("empty", [pa.array([], pa.string()), pa.chunked_array([], pa.string())])
def test_no_texts_give_no_rows(empty):
    assert tokenizer().tokenize_arrow(empty).equals(pa.array([], pa.list_(pa.int32())))


def test_a_null_is_refused_with_its_row():
    texts = pa.chunked_array([["a", "b"], ["c", None]])
    with pytest.raises(ValueError, match="text 3 is null"):
        tokenizer().tokenize_arrow(texts)


def test_a_null_in_a_dictionary_is_refused_too():
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["a", None]))
    with pytest.raises(ValueError, match="text 1 is null"):
        tokenizer().tokenize_arrow(texts)


def test_an_array_of_anything_else_is_refused_with_its_type():
    with pytest.raises(ValueError, match="strings, not int64"):
        tokenizer().tokenize_arrow(pa.array([1]))


def test_bytes_that_are_no_utf8_are_refused():
    broken = pa.array([b"fine", b"\xff"]).cast(pa.string(), safe=False)
    with pytest.raises(InputDataError, match="not UTF-8"):
        tokenizer().tokenize_arrow(broken)
