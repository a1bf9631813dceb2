"""Sentencepiece models that are none, are cut, or are made to fill memory."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

from builders import vocabulary
from presets.hostile.cases import Build, Case, Shell, instead, link, write

MODEL = "assets/tokenizer/vocabulary.spm"


def cut(size: int) -> Build:
    def build(directory: Path) -> None:
        path = directory / MODEL
        path.write_bytes(path.read_bytes()[:size])

    return build


def sparse(directory: Path) -> None:
    with (directory / MODEL).open("r+b") as file:
        file.truncate(100 * 1024**2)


def field(number: int, data: bytes) -> bytes:
    """Return a field of a protocol buffer with a length of up to 256 MiB."""
    size, length = len(data), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + data


def appended(make: bytes) -> Build:
    """Add fields to a sound model."""

    def build(directory: Path) -> None:
        path = directory / MODEL
        path.write_bytes(path.read_bytes() + make)

    return build


def lacking(piece: str) -> Build:
    pieces = [other for other in ("[CLS]", "[SEP]", "[MASK]") if other != piece]
    return lambda directory: (directory / MODEL).write_bytes(vocabulary(pieces))


NO_MODEL = "not a sentencepiece model"
# Two bytes of a file for some eighty in memory: as many as are read, and more.
PIECES = b"\n\0" * (24 * 1024**2)
INPUTS = field(2, b"\n\0" * (24 * 1024**2))
FEWER = b"\n\0" * (4 * 1024**2 - 1)
NO_FILE = "vocabulary.spm: not a regular file"
CASES = [
    Case("an empty vocabulary", write(MODEL, b""), "vocabulary.spm: empty"),
    Case("an error page for a vocabulary", write(MODEL, "<html>403</html>"), NO_MODEL),
    Case("a pickle for a keras vocabulary", write(MODEL, pickle.dumps(Shell())), NO_MODEL),
    Case("zeros for a vocabulary", write(MODEL, bytes(4096)), NO_MODEL),
    Case("half a vocabulary", cut(600), f"{NO_MODEL}|has no piece"),
    Case("a vocabulary without its last byte", cut(-1), NO_MODEL),
    Case("one byte of a vocabulary", cut(1), NO_MODEL),
    Case("a vocabulary of 100 MiB", sparse, "larger than"),
    Case("a vocabulary of empty pieces", write(MODEL, PIECES), "larger than"),
    Case("a vocabulary of fewer empty pieces", write(MODEL, FEWER), NO_MODEL),
    Case("a vocabulary with a list of inputs", appended(INPUTS), "larger than"),
    Case("a vocabulary without [CLS]", lacking("[CLS]"), r"has no piece \[CLS\]"),
    Case("a vocabulary without [MASK]", lacking("[MASK]"), r"has no piece \[MASK\]"),
    Case(
        "a link to a secret for a vocabulary", link(MODEL, "../../../outside/secret.txt"), NO_MODEL
    ),
    Case("a FIFO for a vocabulary", instead(MODEL, os.mkfifo), NO_FILE),
    Case("a device for a vocabulary", link(MODEL, "/dev/zero"), NO_FILE),
    Case("a directory for a vocabulary", instead(MODEL, Path.mkdir), NO_FILE),
]
