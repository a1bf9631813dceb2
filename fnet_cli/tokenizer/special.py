"""The special pieces of a sentencepiece vocabulary, found by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_cli.constants import (
    CLS_PIECE,
    MASK_PIECE,
    MAX_VOCABULARY_FILE_BYTES,
    PAD_PIECE,
    SEP_PIECE,
    UNK_PIECE,
)
from fnet_cli.errors import PresetError


@dataclass(frozen=True)
class SpecialIds:
    """Ids of the special pieces, and the number of pieces.

    Vocabularies number them differently, so no id may be assumed.
    """

    pad: int
    unk: int
    cls: int
    sep: int
    mask: int
    vocabulary_size: int

    @property
    def never_text(self) -> frozenset[int]:
        """The ids that no text may turn into; <unk> stands for a character and is not one."""
        return frozenset((self.pad, self.cls, self.sep, self.mask))


def read_special_ids(path: Path) -> SpecialIds:
    """Look up the special pieces of the sentencepiece model at `path`.

    Raises PresetError where the file is not a sentencepiece model or lacks one of the pieces.
    """
    return find_special_ids(load_processor(read_vocabulary(path), str(path)), str(path))


def read_vocabulary(path: Path) -> bytes:
    """Return the bytes of a vocabulary; PresetError where they cannot be had or are too many."""
    if path.exists() and not path.is_file():  # a FIFO would be waited for without end
        raise PresetError(f"{path}: not a regular file")
    try:
        size = path.stat().st_size
        if size > MAX_VOCABULARY_FILE_BYTES:
            raise PresetError(f"{path}: larger than {MAX_VOCABULARY_FILE_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror or error}") from error


def load_processor(model: bytes, name: str) -> Any:
    """Return sentencepiece's processor; PresetError, which says `name`, for any other bytes."""
    import sentencepiece

    if not model:  # sentencepiece takes it for no model at all, and does not complain
        raise PresetError(f"{name}: empty")
    try:
        return sentencepiece.SentencePieceProcessor(model_proto=model)
    except RuntimeError as error:  # sentencepiece's one error for any bad model
        raise PresetError(f"{name}: not a sentencepiece model") from error


def find_special_ids(processor: Any, name: str) -> SpecialIds:
    """Return where a loaded vocabulary has the special pieces.

    Raises PresetError, which says `name`, where it lacks one, or where a character that it does
    not know becomes another piece than <unk>.
    """

    def id_of(piece: str) -> int:
        index = int(processor.piece_to_id(piece))
        # An unknown piece answers with the id of <unk>.
        if processor.id_to_piece(index) != piece:
            raise PresetError(f"{name}: the vocabulary has no piece {piece}")
        return index

    ids = SpecialIds(
        pad=id_of(PAD_PIECE),
        unk=id_of(UNK_PIECE),
        cls=id_of(CLS_PIECE),
        sep=id_of(SEP_PIECE),
        mask=id_of(MASK_PIECE),
        vocabulary_size=int(processor.get_piece_size()),
    )
    unknown = int(processor.unk_id())
    if unknown != ids.unk:
        piece = processor.id_to_piece(unknown)
        raise PresetError(f"{name}: unknown characters become {piece!r:.80}, not {UNK_PIECE}")
    return ids
