"""FNetTokenizer: texts to token ids and back, with the API of KerasHub's."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final, overload

import numpy as np
import pyarrow as pa

from fnet_cli.constants import (
    CLS_PIECE,
    MASK_PIECE,
    PAD_PIECE,
    PREPROCESSOR_CONFIG_FILE,
    SEP_PIECE,
    TOKENIZER_CONFIG_FILE,
    UNK_PIECE,
    VOCABULARY_FILE,
)
from fnet_cli.errors import OutputError, PresetError
from fnet_cli.files import replacing
from fnet_cli.tokenizer.arrays import list_array
from fnet_cli.tokenizer.chunking import Chunks, chunk
from fnet_cli.tokenizer.decoding import decode
from fnet_cli.tokenizer.model_proto import with_control_pieces
from fnet_cli.tokenizer.special import (
    SpecialIds,
    find_special_ids,
    load_processor,
    read_vocabulary,
)
from fnet_cli.tokenizer.texts import python_texts, text_array


@final
class FNetTokenizer:
    """A sentencepiece vocabulary: cuts text into pieces and gives their ids.

    Text never becomes a special token: a `[MASK]` in a text is six characters, even where the
    vocabulary says otherwise. Ids are otherwise those of KerasHub's FNetTokenizer. No special
    token is added; `fnet_cli.tokenizer.packing.pack` does that.

    Args:
        proto: a sentencepiece model as bytes, or the path of one.

    Raises PresetError for a model that cannot be read, or lacks one of the special pieces.

    Source: Kudo and Richardson 2018, arXiv 1808.06226; KerasHub's FNetTokenizer for the API.

    """

    cls_token = start_token = CLS_PIECE
    sep_token = end_token = SEP_PIECE
    pad_token = PAD_PIECE
    mask_token = MASK_PIECE
    unk_token = UNK_PIECE

    def __init__(self, proto: bytes | str | os.PathLike[str]) -> None:
        name = "proto" if isinstance(proto, bytes) else os.fspath(proto)
        self.proto = proto if isinstance(proto, bytes) else read_vocabulary(Path(name))
        processor = load_processor(self.proto, name)
        self.special: SpecialIds = find_special_ids(processor, name)
        loose = {id for id in self.special.never_text if not processor.is_control(id)}
        self._processor = (
            load_processor(with_control_pieces(self.proto, loose), name) if loose else processor
        )
        self._vocabulary: list[str] = self._processor.id_to_piece(
            list(range(self.special.vocabulary_size))
        )
        self._ids = {piece: index for index, piece in enumerate(self._vocabulary)}
        self.cls_token_id = self.start_token_id = self.special.cls
        self.sep_token_id = self.end_token_id = self.special.sep
        self.pad_token_id = self.special.pad
        self.mask_token_id = self.special.mask
        self.unk_token_id = self.special.unk

    def __reduce__(self) -> tuple[type[FNetTokenizer], tuple[bytes]]:
        return type(self), (self.proto,)

    # === Text to ids ===

    @overload
    def tokenize(self, inputs: str) -> list[int]: ...
    @overload
    def tokenize(self, inputs: list[str] | tuple[str, ...]) -> list[list[int]]: ...
    def tokenize(self, inputs: str | list[str] | tuple[str, ...]) -> list[int] | list[list[int]]:
        """Return the ids of a text, or of each text of a list.

        Raises TypeError for what is no str, and InputDataError for a lone surrogate.
        """
        texts = [inputs] if isinstance(inputs, str) else inputs
        rows: list[list[int]] = self.tokenize_arrow(text_array(texts)).to_pylist()
        return rows[0] if isinstance(inputs, str) else rows

    __call__ = tokenize

    def tokenize_arrow(self, strings: pa.Array | pa.ChunkedArray) -> pa.ListArray:
        """Return the ids of each string as list<int32>, on one core.

        Arrow's types for strings are taken, also in dictionaries. Raises ValueError for others
        and for a null, which has no ids, and InputDataError for bytes that are not UTF-8.
        """
        rows: list[np.ndarray[Any, Any]] = []
        for texts in python_texts(strings):
            rows += self._processor.encode(texts, return_type="numpy", num_threads=1)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        return list_array(np.concatenate(rows) if rows else np.zeros(0, np.int32), lengths)

    def chunks(
        self, strings: pa.Array | pa.ChunkedArray | Sequence[str], size: int, overlap: int = 0
    ) -> Chunks:
        """Cut texts into overlapping chunks of `size` tokens; `chunking.chunk` has the rules."""
        if not isinstance(strings, pa.Array | pa.ChunkedArray):
            strings = text_array(strings)
        return chunk(self._processor, strings, size, overlap)

    # === Ids to text ===

    def detokenize(self, inputs: Any, *, skip_special: bool = True) -> str | list[str]:
        """Return the text of a list of ids, or of each row of a list of lists.

        Rows may also be NumPy's or Arrow's. [CLS], [SEP], <pad> and [MASK] are left out; without
        `skip_special` they stand as words. An unknown character's <unk> is ` ⁇ `.

        Raises InputDataError for an id that the vocabulary does not have.
        """
        return decode(self._processor, self.special, inputs, skip_special=skip_special)

    # === Vocabulary ===

    def vocabulary_size(self) -> int:
        """Return the number of pieces."""
        return self.special.vocabulary_size

    def get_vocabulary(self) -> list[str]:
        """Return the pieces in the order of their ids."""
        return list(self._vocabulary)

    def id_to_token(self, id: int) -> str:
        """Return the piece with an id; ValueError where there is none."""
        if not 0 <= id < self.special.vocabulary_size:
            raise ValueError(f"id {id} is not in [0, {self.special.vocabulary_size - 1}]")
        return self._vocabulary[id]

    def token_to_id(self, token: str) -> int:
        """Return the id of a piece, and that of <unk> where the vocabulary does not have it."""
        return self._ids.get(token, self.special.unk)

    # === Presets ===

    @classmethod
    def from_preset(cls, preset: str | os.PathLike[str]) -> FNetTokenizer:
        """Load the tokenizer of a built-in preset, a handle, or a preset directory.

        What is not on this machine is pulled, as by `FNetBackbone.from_preset`, which raises the
        same; and PresetError for a preset without a tokenizer.
        """
        from fnet_cli.config import Settings
        from fnet_cli.presets.pulling.events import ignore
        from fnet_cli.presets.resolving import resolve_preset

        found = resolve_preset(os.fspath(preset), Settings.from_env(os.environ), ignore)
        return found.tokenizer()

    @classmethod
    def from_directory(cls, directory: str | os.PathLike[str]) -> FNetTokenizer:
        """Load the tokenizer in a directory of any format, with or without a model beside it.

        Raises PresetError or UnsafePresetError.
        """
        from fnet_cli.presets.json_file import read_json_object
        from fnet_cli.presets.layouts import LAYOUTS
        from fnet_cli.presets.layouts.keras_config import check_tokenizer

        path = Path(directory)
        config = path / TOKENIZER_CONFIG_FILE
        for layout in LAYOUTS:
            if (path / layout.vocabulary_file).exists():
                if layout.vocabulary_file == VOCABULARY_FILE and config.exists():
                    document = read_json_object(config)
                    check_tokenizer(config, document)
                    _check_settings(config, document["config"])
                return cls(path / layout.vocabulary_file)
        raise PresetError(f"{path} has no tokenizer: there is no {VOCABULARY_FILE}")

    def save_to_preset(
        self, preset_dir: str | os.PathLike[str], sequence_length: int | None = None
    ) -> None:
        """Write the vocabulary and its config to `preset_dir` in KerasHub's preset format.

        With a `sequence_length` also a preprocessor for KerasHub that packs to it. Files of those
        names are replaced, each in one step; others stay. Raises OutputError.
        """
        from fnet_cli.presets.layouts.keras_config import preprocessor_document, tokenizer_document

        documents = {TOKENIZER_CONFIG_FILE: tokenizer_document()}
        if sequence_length is not None:
            documents[PREPROCESSOR_CONFIG_FILE] = preprocessor_document(sequence_length)
        directory = Path(preset_dir)
        contents = {VOCABULARY_FILE: self.proto}
        for name, document in documents.items():
            contents[name] = json.dumps(document, indent=4).encode()
        try:
            (directory / VOCABULARY_FILE).parent.mkdir(parents=True, exist_ok=True)
            for name, content in contents.items():
                with replacing(directory / name) as temporary:
                    temporary.write_bytes(content)
        except OSError as error:
            raise OutputError(f"{directory}: cannot save the tokenizer: {error}") from error


def _check_settings(path: Path, config: Mapping[str, Any]) -> None:
    """Raise PresetError where a KerasHub tokenizer would return other ids than ours."""
    for name in ("add_bos", "add_eos", "sequence_length"):
        if config.get(name):
            raise PresetError(f"{path}: {name} is not supported")
