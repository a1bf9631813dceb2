"""Configs and their companions that ask for classes, code, memory or patience."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

from presets.hostile.cases import (
    CANARY_MODULE,
    Build,
    Case,
    Shell,
    change_json,
    foreign,
    instead,
    lambda_layer,
    link,
    write,
)

CONFIG = "config.json"
TOKENIZER = "tokenizer.json"
PREPROCESSOR = "preprocessor.json"


def top(**changes: Any) -> Build:
    return change_json(CONFIG, lambda document: document.update(changes))


def size(**changes: Any) -> Build:
    return change_json(CONFIG, lambda document: document["config"].update(changes))


def text(old: str, new: str) -> Build:
    """Replace text that no JSON writer would produce."""

    def build(directory: Path) -> None:
        path = directory / CONFIG
        path.write_text(path.read_text().replace(old, new, 1))

    return build


def policy(**changes: Any) -> Build:
    return change_json(CONFIG, lambda document: document["config"]["dtype"].update(changes))


def tokenizer(**changes: Any) -> Build:
    return change_json(TOKENIZER, lambda document: document["config"].update(changes))


def recoded(encoding: str) -> Build:
    return lambda directory: (directory / CONFIG).write_text(
        (directory / CONFIG).read_text(), encoding=encoding
    )


DEEP = '{"a":' * 100_000
CLASSES = [
    Case("a class of another library", top(registered_name="os>system"), "describes 'os>system'"),
    Case("a Lambda layer for a backbone", top(**lambda_layer()), "describes None"),
    Case("a registered Lambda", top(registered_name="keras>Lambda"), "describes 'keras>Lambda'"),
    Case("a class in a module of its own", top(**foreign()), "describes None"),
    Case("a name that is a list", top(registered_name=[CANARY_MODULE]), "describes"),
    Case("a name with escapes", top(registered_name="\x1b[2J\n\rfnet: ok"), r"describes .*\\x1b"),
    Case("a name of a million letters", top(registered_name="A" * 10**6), "describes 'AAA"),
    Case("a Lambda for a setting", size(activation=lambda_layer()), "unknown setting 'activation'"),
    Case("a Lambda for a size", size(hidden_dim=lambda_layer()), "hidden_dim must be an integer"),
    Case("a dtype of another class", policy(class_name="Canary"), "dtype is a 'Canary'"),
    Case("a dtype of another module", policy(module=CANARY_MODULE), "dtype is a"),
    Case("a dtype that quantizes", policy(config={"name": "int8_from_float32"}), "not supported"),
    Case("a dtype of unhashable kind", policy(config={"name": [foreign()]}), "not supported"),
    Case("a dtype that is a Lambda", size(dtype=lambda_layer()), "dtype is a 'Lambda'"),
    # What is only a hint to Keras's own loader is never read.
    Case("another module beside the right name", top(module=CANARY_MODULE), code=0),
    Case("a compile config with code", top(compile_config={"loss": lambda_layer()}), code=0),
    Case("a build config with code", top(build_config={"fn": lambda_layer()}), code=0),
]
SIZES = [
    Case("a huge size", size(vocabulary_size=2**62), "vocabulary_size must be between"),
    Case("sizes of a giant", size(hidden_dim=65536, intermediate_dim=262144, num_layers=512),
         "over the limit"),
    Case("sizes that the weights lack", size(vocabulary_size=4_000_000, hidden_dim=4096),
         "the config implies"),
    Case("a size of zero", size(num_layers=0), "num_layers must be between"),
    Case("a negative size", size(max_sequence_length=-512), "max_sequence_length must be between"),
    Case("a fractional size", size(hidden_dim=32.0), "hidden_dim must be an integer"),
    Case("a boolean size", size(num_segments=True), "num_segments must be an integer"),
    Case("a size in words", size(num_layers="2"), "num_layers must be an integer"),
    Case("a size that is null", size(num_layers=None), "num_layers must be an integer"),
    Case("a size of 5000 digits", text('"num_layers": 2', f'"num_layers": 1{"0" * 5000}'),
         "not valid JSON: Exceeds the limit"),
    Case("a size in exponents", text('"num_layers": 2', '"num_layers": 1e999'), "must be an int"),
    Case("NaN", size(dropout=float("nan")), "NaN is not a JSON number"),
    Case("Infinity", size(hidden_dim=float("inf")), "Infinity is not a JSON number"),
    Case("a dropout beyond floats", text('"dropout": 0.1', '"dropout": 1e999'), "dropout must be"),
    Case("a dropout of one", size(dropout=1), r"dropout must be in \[0, 1\)"),
    Case("a size that is missing", change_json(CONFIG, lambda d: d["config"].pop("num_layers")),
         "lacks num_layers"),
]  # fmt: skip
JSON = [
    Case("a key that stands twice", text('"config":', '"config": {}, "config":'), "stands twice"),
    Case("a size that stands twice", text('"num_layers":', '"num_layers": 1, "num_layers":'),
         "stands twice"),
    Case("deep nesting", write(CONFIG, DEEP), "not valid JSON"),
    Case("deep lists", write(CONFIG, "[" * 10**6), "not valid JSON"),
    Case("more than 4 MiB", write(CONFIG, json.dumps({"a": "x" * 5 * 1024**2})), "larger than"),
    Case("4 MiB of empty lists", write(CONFIG, '{"a":[' + "[]," * 1_390_000 + "1]}"), "describes"),
    Case("UTF-16", recoded("utf-16"), "not valid JSON"),
    Case("a byte order mark", recoded("utf-8-sig"), "not valid JSON"),
    Case("bytes that are no text", write(CONFIG, b'{"registered_name": "\xff\xfe"}'), "not valid"),
    Case("a lone surrogate", write(CONFIG, b'{"registered_name": "\\ud800"}'), r"describes .*ud80"),
    Case("zeros", write(CONFIG, bytes(4096)), "not valid JSON"),
    Case("no bytes", write(CONFIG, b""), "not valid JSON"),
    Case("an error page", write(CONFIG, "<!DOCTYPE html><html>404</html>"), "not valid JSON"),
    Case("a list", write(CONFIG, "[1, 2]"), "holds no JSON object"),
    Case("a pickle for a config", write(CONFIG, pickle.dumps(Shell())), "not valid JSON"),
]  # fmt: skip
PLACES = [
    Case("a FIFO for a config", instead(CONFIG, os.mkfifo), "has no config.json"),
    Case("a directory for a config", instead(CONFIG, Path.mkdir), "has no config.json"),
    Case("a device for a config", link(CONFIG, "/dev/zero"), "has no config.json"),
    Case("a link to itself for a config", link(CONFIG, CONFIG), "has no config.json"),
    Case("a link to a secret for a config", link(CONFIG, "../outside/secret.txt"), "not valid JS"),
]
COMPANIONS = [
    Case("a vocabulary in proto", tokenizer(proto="CgU8cGFkPg=="), "carries a vocabulary of its"),
    Case("a tokenizer of another class", change_json(TOKENIZER, lambda d: d.update(foreign())),
         "describes None, not an FNetTokenizer"),
    Case("a Lambda for a tokenizer", write(TOKENIZER, json.dumps(lambda_layer())), "describes"),
    Case("a tokenizer without settings", change_json(TOKENIZER, lambda d: d.pop("config")),
         "tokenizer.json"),
    Case("a Lambda for a preprocessor", write(PREPROCESSOR, json.dumps(lambda_layer())),
         "not a preprocessor of FNet"),
    Case("a Lambda for a preprocessor's tokenizer",
         change_json(PREPROCESSOR, lambda d: d["config"].update(tokenizer=lambda_layer())),
         "describes None, not an FNetTokenizer"),
    Case("a vocabulary in a preprocessor's proto",
         change_json(PREPROCESSOR, lambda d: d["config"]["tokenizer"]["config"].update(proto="x")),
         "carries a vocabulary of its own"),
    Case("a FIFO for a tokenizer", instead(TOKENIZER, os.mkfifo), "not a regular file"),
    Case("a device for a tokenizer", link(TOKENIZER, "/dev/zero"), "not a regular file"),
    Case("a tokenizer nested deeply", write(TOKENIZER, DEEP), "not valid JSON"),
    Case("metadata with code", write("metadata.json", json.dumps(lambda_layer())), code=0),
]  # fmt: skip
CASES = [*CLASSES, *SIZES, *JSON, *PLACES, *COMPANIONS]
