"""Thrift's compact protocol, as far as Parquet's footers use it: to nested values, and back.

What is read and written unchanged gives the same bytes, fields of later versions included.
Source: github.com/apache/thrift, doc/specs/thrift-compact-protocol.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)
_LONG_LIST = 15


class ThriftError(ValueError):
    """The bytes are no struct of the compact protocol, or are cut off."""


@dataclass
class Field:
    """A field of a struct: its wire type, and its value, None for a boolean."""

    kind: int
    value: Any


@dataclass
class ListOf:
    """A list or set: the wire type of its items, and the items."""

    kind: int
    items: list[Any]


# By field number, in the order of the bytes.
Struct = dict[int, Field]


def read_struct(data: bytes | memoryview) -> Struct:
    """Return the struct that `data` starts with; raises ThriftError."""
    try:
        return _Reader(bytes(data)).struct()
    except (IndexError, RecursionError):
        raise ThriftError("the struct is cut off") from None


def write_struct(struct: Struct) -> bytes:
    """Return the bytes of a struct; one in it may be bytes already."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def struct(self) -> Struct:
        """Return the struct that begins here."""
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            kind = head & 15
            fields[number] = Field(kind, None if kind in (_TRUE, _FALSE) else self._value(kind))
        return fields

    def _value(self, kind: int) -> Any:
        if kind in (_I16, _I32, _I64):
            return self._zigzag()
        if kind == _BINARY:
            return self._take(self._varint())
        if kind == _STRUCT:
            return self.struct()
        if kind in (_LIST, _SET):
            head = self._byte()
            size = self._varint() if head >> 4 == _LONG_LIST else head >> 4
            return ListOf(head & 15, [self._value(head & 15) for _ in range(size)])
        if kind in (_TRUE, _FALSE, _BYTE):  # a boolean has a byte of its own in a list only
            return self._byte()
        if kind == _DOUBLE:
            return self._take(8)
        raise ThriftError(f"wire type {kind} is none of a Parquet footer")

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) & 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
        return value | byte << shift

    def _zigzag(self) -> int:
        value = self._varint()
        return (value >> 1) ^ -(value & 1)

    def _take(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise ThriftError("the struct is cut off")
        self._at += size
        return self._data[self._at - size : self._at]


def _write_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for number, field in struct.items():
        if 0 < number - last <= 15:
            out.append((number - last) << 4 | field.kind)
        else:
            out.append(field.kind)
            _write_zigzag(out, number)
        last = number
        if field.kind not in (_TRUE, _FALSE):
            _write_value(out, field.kind, field.value)
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (_I16, _I32, _I64):
        _write_zigzag(out, value)
    elif kind == _BINARY:
        _write_varint(out, len(value))
        out += value
    elif kind == _STRUCT and isinstance(value, bytes):
        out += value
    elif kind == _STRUCT:
        _write_struct(out, value)
    elif kind in (_LIST, _SET):
        size = len(value.items)
        out.append(min(size, _LONG_LIST) << 4 | value.kind)
        if size >= _LONG_LIST:
            _write_varint(out, size)
        for item in value.items:
            _write_value(out, value.kind, item)
    elif kind == _DOUBLE:
        out += value
    else:
        out.append(value)


def _write_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def _write_zigzag(out: bytearray, value: int) -> None:
    _write_varint(out, value << 1 if value >= 0 else (-value << 1) - 1)
