"""The one change made to a sentencepiece model: pieces that text must never turn into.

A model is a protocol buffer, ModelProto, in which field 1 is a piece and is there once for each
id. It is edited as bytes: the classes that sentencepiece ships for it ask for a newer protobuf
than TensorFlow allows. Source: sentencepiece_model.proto; the encoding of protocol buffers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from fnet_cli.errors import PresetError

_PIECE_FIELD = 1
# SentencePiece.type = CONTROL: field 3, a varint. Of a field that is there twice, the last counts.
_TYPE_CONTROL = bytes((3 << 3, 3))
# Kinds of fields, by the lowest bits of a tag.
_VARINT, _BYTES = 0, 2
_FIXED_SIZES = {1: 8, 5: 4}


def with_control_pieces(model: bytes, ids: Collection[int]) -> bytes:
    """Return `model` with the pieces `ids` as control pieces, which text is never split into.

    A user-defined piece is looked for in a text before anything else, so that with one for
    [MASK] whoever writes the text writes special tokens. Raises PresetError for bytes that are
    no protocol buffer.
    """
    parts = []
    index = -1
    for field, start, content, end in _fields(model):
        index += field == _PIECE_FIELD
        if field == _PIECE_FIELD and index in ids:
            piece = model[content:end] + _TYPE_CONTROL
            parts += [bytes(((_PIECE_FIELD << 3) | _BYTES,)), _varint(len(piece)), piece]
        else:
            parts.append(model[start:end])
    return b"".join(parts)


def _fields(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield each field's number, and where it, its content and what follows begin."""
    position = 0
    while position < len(data):
        start = position
        tag, content = _read_varint(data, position)
        kind = tag & 7
        if kind == _VARINT:
            _, position = _read_varint(data, content)
        elif kind == _BYTES:
            length, content = _read_varint(data, content)
            position = content + length
        elif kind in _FIXED_SIZES:
            position = content + _FIXED_SIZES[kind]
        else:
            raise PresetError(f"the vocabulary has a field of the unknown kind {kind}")
        if position > len(data):
            raise PresetError("the vocabulary is cut short")
        yield tag >> 3, start, content, position


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(data):
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise PresetError("the vocabulary is cut short")


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
