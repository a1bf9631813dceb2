"""Checkpoints in transformers' format that lie about their bytes, or are pickles."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from presets.hostile.cases import (
    CANARY_MODULE,
    Build,
    Case,
    Shell,
    after,
    change_json,
    instead,
    link,
    write,
)

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLE = "pytorch_model.bin"
BIAS = "pooler.dense.bias"
OUTSIDE = "../outside/model.safetensors"


def config(**changes: Any) -> Build:
    return change_json("config.json", lambda document: document.update(changes))


def header(change: Callable[[dict[str, Any]], object]) -> Build:
    """Rewrite the header by `change`, which edits it, or returns other bytes for it."""

    def build(directory: Path) -> None:
        data = (directory / WEIGHTS).read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        document = json.loads(data[8:end])
        changed = change(document)
        text = changed if isinstance(changed, bytes) else json.dumps(document).encode()
        (directory / WEIGHTS).write_bytes(len(text).to_bytes(8, "little") + text + data[end:])

    return build


def entry(**changes: Any) -> Build:
    return header(lambda document: document[BIAS].update(changes))


def offsets(change: Callable[[int, int], list[Any]]) -> Build:
    """Move the bytes that one tensor claims."""
    return header(
        lambda document: document[BIAS].update(data_offsets=change(*document[BIAS]["data_offsets"]))
    )


def twice(document: dict[str, Any]) -> bytes:
    text = json.dumps(document)
    return f'{{"{BIAS}": {json.dumps(document[BIAS])}, {text[1:]}'.encode()


def dropped(document: dict[str, Any]) -> None:
    """Leave the bytes of a tensor without an owner."""
    del document["encoder.layer.0.output.dense.bias"]


def length(value: int) -> Build:
    """State another length of the header."""

    def build(directory: Path) -> None:
        data = (directory / WEIGHTS).read_bytes()
        (directory / WEIGHTS).write_bytes(value.to_bytes(8, "little") + data[8:])

    return build


def resized(change: int) -> Build:
    """Cut bytes off the end, or add some."""

    def build(directory: Path) -> None:
        data = (directory / WEIGHTS).read_bytes()
        (directory / WEIGHTS).write_bytes(data[:change] if change < 0 else data + bytes(change))

    return build


def whole(text: bytes) -> Build:
    """Write a file that is nothing but a header."""
    return write(WEIGHTS, len(text).to_bytes(8, "little") + text)


def index(weight_map: object) -> Build:
    def build(directory: Path) -> None:
        (directory / WEIGHTS).rename(directory / "model-00001.safetensors")
        (directory / INDEX).write_text(json.dumps({"weight_map": weight_map}))

    return build


def torch_zip() -> bytes:
    """Return a checkpoint as torch writes one, with a pickle that runs a command."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Shell()))
    return data.getvalue()


BOMB = b'{"a":[' + b"[]," * ((16 * 1024**2 - 20) // 3) + b"1]}"
CONFIGS = [
    Case("another model", config(model_type="bert"), "is a model of type 'bert'"),
    Case("a model type that is a list", config(model_type=[1]), "is a model of type"),
    Case("an activation by module", config(hidden_act=f"{CANARY_MODULE}.run"), "activation 'canar"),
    Case("a giant", config(hidden_size=65536, intermediate_size=262144, num_hidden_layers=512),
         "over the limit"),
    Case("a checkpoint of other sizes", config(vocab_size=3_000_000), "the config implies"),
    Case("a size of NaN", config(hidden_size=float("nan")), "NaN is not a JSON number"),
    Case("both formats at once", config(registered_name="keras_hub>FNetBackbone"), "no config obj"),
    Case("code on a hub", config(auto_map={"AutoModel": f"{CANARY_MODULE}.Model"},
                                 trust_remote_code=True), code=0),
]  # fmt: skip
HEADERS = [
    Case("a name that stands twice", header(twice), "a name stands twice"),
    Case("tensors that overlap", offsets(lambda begin, end: [begin - 128, end - 128]), "overlap o"),
    Case("a gap", header(dropped), "overlap or leave gaps"),
    Case("offsets below zero", offsets(lambda begin, end: [begin - 2**20, end - 2**20]), "malform"),
    Case("offsets that overflow", offsets(lambda begin, end: [begin + 2**64, end + 2**64]),
         "malformed"),
    Case("offsets past the end", offsets(lambda begin, end: [begin + 2**40, end + 2**40]), "overl"),
    Case("offsets in reverse", offsets(lambda begin, end: [end, begin]), "do not fit its shape"),
    Case("offsets as text", offsets(lambda begin, end: [str(begin), str(end)]), "malformed entry"),
    Case("three offsets", offsets(lambda begin, end: [begin, end, end]), "do not fit its shape"),
    Case("a shape bomb", entry(shape=[2**40, 2**40]), "do not fit its shape"),
    Case("a shape of many axes", entry(shape=[1] * 5000), "malformed entry"),
    Case("a negative dimension", entry(shape=[-1, -32]), "malformed entry"),
    Case("a dimension of zero", entry(shape=[0], data_offsets=[0, 0]), "gaps|has shape"),
    Case("a dtype that lies", entry(dtype="F64"), "do not fit its shape"),
    Case("a dtype of objects", entry(dtype="object"), "malformed entry"),
    Case("integers", entry(dtype="I32"), "stored as I32, not as a float"),
    Case("a class for an entry", entry(__class__=CANARY_MODULE), "malformed entry"),
    Case("an entry that is a list", header(lambda d: d.update({BIAS: [1]})), "malformed entry"),
    Case("a missing tensor", header(lambda d: d.update(x=d.pop(BIAS))), f"the weights lack {BIAS}"),
    Case("a header of 2**63 bytes", length(2**63), "not a safetensors file, or a huge header"),
    Case("a header beyond the file", length(10**6), "not a safetensors file, or a huge header"),
    Case("a header of no bytes", length(0), "not a safetensors file"),
    Case("a header cut short", length(100), "bad safetensors header"),
    Case("a header of lists", whole(BOMB), "more entries than any model has"),
    Case("a header of objects", whole(BOMB.replace(b"[],", b"{},")), "more entries"),
    Case("a header nested deeply", whole(b'{"a":' * 10**6), "bad safetensors header"),
    Case("a header in another encoding", whole('{"é": 1}'.encode("latin-1")), "bad safetensors"),
    Case("NaN in a header", whole(b'{"a": NaN}'), "malformed entry"),
    Case("a tensor cut short", resized(-10), "its tensors take"),
    Case("bytes after the tensors", resized(10), "its tensors take"),
]  # fmt: skip
FILES = [
    Case("a pickle for safetensors", write(WEIGHTS, pickle.dumps(Shell())), "not a safetensors"),
    Case("a torch file for safetensors", write(WEIGHTS, torch_zip()), "not a safetensors file"),
    Case("an error page for safetensors", write(WEIGHTS, "<html>429</html>"), "not a safetensors"),
    Case("no bytes for safetensors", write(WEIGHTS, b""), "not a safetensors file"),
    Case("a pickle", after(instead(WEIGHTS, lambda _: None), write(PICKLE, torch_zip())),
         "pytorch_model.bin: a pickle can run code"),
    Case("a bare pickle",
         after(instead(WEIGHTS, lambda _: None), write(PICKLE, pickle.dumps(Shell()))),
         "pytorch_model.bin: a pickle can run code"),
    Case("a pickle beside the weights", write(PICKLE, torch_zip()), code=0),
    Case("a pickle for a vocabulary", write("spiece.model", pickle.dumps(Shell())),
         "not a sentencepiece model"),
    Case("a FIFO for safetensors", instead(WEIGHTS, os.mkfifo), f"has no {WEIGHTS}"),
    Case("a device for safetensors", link(WEIGHTS, "/dev/zero"), f"has no {WEIGHTS}"),
    Case("a link to a secret for safetensors", link(WEIGHTS, "../outside/secret.txt"),
         "not a safetensors file"),
]  # fmt: skip
INDEXES = [
    Case("a shard that climbs", index({BIAS: OUTSIDE}), "is not the name of a weight file"),
    Case("an absolute shard", index({BIAS: "/etc/x.safetensors"}), "is not the name of a weight"),
    Case("a shard with backslashes", index({BIAS: "..\\x.safetensors"}), "is not the name of a w"),
    Case("a pickle for a shard", index({BIAS: "model-00001.bin"}), "is not the name of a weight"),
    Case("a null for a shard", index({BIAS: None}), "is not the name of a weight file"),
    Case("a shard that is missing", index({BIAS: "m.safetensors"}), "m.safetensors: No such file"),
    Case("too many shards", index({str(i): f"m{i}.safetensors" for i in range(5000)}), "names mor"),
    Case("a shard that is a FIFO",
         after(index({BIAS: "m.safetensors"}), lambda at: os.mkfifo(at / "m.safetensors")),
         "m.safetensors: not a regular file"),
    Case("a shard that is a directory",
         after(index({BIAS: "m.safetensors"}), lambda at: (at / "m.safetensors").mkdir()),
         "m.safetensors: not a regular file"),
    Case("a shard that is a device", after(index({BIAS: "m.safetensors"}),
         lambda at: (at / "m.safetensors").symlink_to("/dev/zero")), "not a regular file"),
]  # fmt: skip
CASES = [*CONFIGS, *HEADERS, *FILES, *INDEXES]
