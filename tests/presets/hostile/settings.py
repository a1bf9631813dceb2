"""Encode settings that ask for what there is not, or are no file at all."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

from presets.hostile.cases import Build, Case, Shell, instead, lambda_layer, link, write

SETTINGS = "encode_settings.json"


def says(text: str) -> Build:
    return write(SETTINGS, text)


CASES = [
    Case("a Lambda for encode settings", says(json.dumps(lambda_layer())), "unknown key 'module'"),
    Case("a Lambda for a pooling", says(json.dumps({"pooling": lambda_layer()})), "pooling is {'m"),
    Case("a pooling with escapes", says('{"pooling": "\\u001b[2J\\n"}'), r"pooling is '\\x1b"),
    Case("a recommended length of a giant", says('{"sequence_length": 4611686018427387904}'),
         r"allowed: 1\.\.40"),
    Case("a recommendation nested deeply", says('{"pooling":' * 100_000), "not valid JSON"),
    Case("recommendations of 5 MiB", says(" " * 5 * 1024**2), "larger than"),
    Case("a pickle for recommendations", write(SETTINGS, pickle.dumps(Shell())), "not valid JSON"),
    Case("a FIFO for recommendations", instead(SETTINGS, os.mkfifo), "not a regular file"),
    Case("a directory for recommendations", instead(SETTINGS, Path.mkdir), "not a regular file"),
    Case("a device for recommendations", link(SETTINGS, "/dev/zero"), "not a regular file"),
    Case("a link to a secret for recommendations", link(SETTINGS, "../outside/secret.txt"),
         "not valid JSON"),
]  # fmt: skip
