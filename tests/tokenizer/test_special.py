"""Special pieces are found by name, at whatever id a vocabulary has them."""

from __future__ import annotations

import pytest
from builders import add_vocabulary, vocabulary

from fnet_cli.config import Settings
from fnet_cli.constants import VOCABULARY_FILE
from fnet_cli.errors import PresetError
from fnet_cli.presets.resolving import resolve_preset
from fnet_cli.tokenizer.special import read_special_ids


def test_the_bundled_vocabulary_has_all_special_pieces():
    directory = resolve_preset("f_net_mini_en", Settings()).directory
    ids = read_special_ids(directory / VOCABULARY_FILE)
    assert ids.vocabulary_size == 12_000
    assert len({ids.pad, ids.unk, ids.cls, ids.sep, ids.mask}) == 5


@pytest.mark.parametrize(
    "ids", [{}, {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 4}, {"pad_id": 9}]
)
def test_the_pad_id_is_where_the_vocabulary_has_it(tmp_path, ids):
    path = add_vocabulary(tmp_path, vocabulary(**ids))
    special = read_special_ids(path)
    assert special.pad == ids.get("pad_id", 3)
    assert special.unk == ids.get("unk_id", 0)


def test_every_piece_is_found_where_kerashubs_test_vocabulary_has_it(tmp_path):
    model = vocabulary(
        pieces=("[MASK]",), pad_id=0, unk_id=1, bos_id=2, eos_id=3, bos_piece="[CLS]",
        eos_piece="[SEP]",
    )  # fmt: skip
    special = read_special_ids(add_vocabulary(tmp_path, model))
    assert (special.pad, special.unk, special.cls, special.sep, special.mask) == (0, 1, 2, 3, 4)


def test_a_missing_piece_is_named(tmp_path):
    path = add_vocabulary(tmp_path, vocabulary(pieces=("[CLS]", "[SEP]")))
    with pytest.raises(PresetError, match=r"vocabulary\.spm: the vocabulary has no piece \[MASK\]"):
        read_special_ids(path)


@pytest.mark.parametrize("keep", [0, 10, 0.5])
def test_a_damaged_vocabulary_is_refused(tmp_path, keep):
    model = vocabulary()
    cut = model[: keep if isinstance(keep, int) else int(len(model) * keep)]
    path = add_vocabulary(tmp_path, cut)
    with pytest.raises(PresetError, match="vocabulary.spm: "):
        read_special_ids(path)


def test_a_huge_vocabulary_is_refused_unread(tmp_path):
    path = add_vocabulary(tmp_path, b"")
    with path.open("r+b") as file:
        file.truncate(10**9)
    with pytest.raises(PresetError, match="larger than"):
        read_special_ids(path)


def test_a_missing_vocabulary_is_named(tmp_path):
    with pytest.raises(PresetError, match="No such file"):
        read_special_ids(tmp_path / "none.spm")
