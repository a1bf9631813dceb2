"""Weight files in HDF5, and indexes of them, that lead elsewhere, lie, or ask for memory."""

from __future__ import annotations

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from presets.hostile.cases import Build, Case, Shell, after, instead, link, write

WEIGHTS = "model.weights.h5"
INDEX = "model.weights.json"
LAYER = "layers/dense_1"
BIAS = f"{LAYER}/vars/1"
# A sound weight file that is none of the preset's.
OUTSIDE = "../outside/weights.h5"


def edit(change: Callable[[h5py.File], object]) -> Build:
    def build(directory: Path) -> None:
        # HDF5 takes the names of other files relative to where the program is.
        with h5py.File(directory / WEIGHTS, "r+") as file:
            change(file)

    return build


def put(path: str, make: Callable[[h5py.File], object]) -> Build:
    """Replace what is at `path`."""

    def change(file: h5py.File) -> None:
        del file[path]
        file[path] = make(file)

    return edit(change)


def bias(**options: Any) -> Build:
    """Replace the pooler's bias, 32 floats, by a dataset made in this way."""

    def change(file: h5py.File) -> None:
        del file[BIAS]
        file.create_dataset(BIAS, **{"data": np.zeros(32, "f4"), **options})

    return edit(change)


def moved(path: str, make: Callable[[], object]) -> Build:
    """Move what is at `path` to another name, and put a link to it in its place."""

    def change(file: h5py.File) -> None:
        file.move(path, "elsewhere")
        file[path] = make()

    return edit(change)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((32,), "f4")
    layout[:] = h5py.VirtualSource(OUTSIDE, f"/{BIAS}", (32,))
    del file[BIAS]
    file.create_virtual_dataset(BIAS, layout)


def half_written(file: h5py.File) -> None:
    del file[BIAS]
    file.create_dataset(BIAS, (32,), "f4", chunks=(8,))[:8] = 1


def marked(value: object, kind: str = "V2") -> Build:
    """Say of opaque bytes what Keras says of bfloat16."""

    def change(file: h5py.File) -> None:
        del file[BIAS]
        file.create_dataset(BIAS, data=np.zeros(32, kind)).attrs["dtype"] = value

    return edit(change)


def own_parent(file: h5py.File) -> None:
    file[f"{LAYER}/vars/2"] = file[LAYER]


def circle(data: bytearray) -> None:
    """Let the first free block of the names of a group lead to itself."""
    heaps = [at for at in range(len(data)) if data.startswith(b"HEAP\0", at)]
    for at in heaps:
        _, block, start = struct.unpack_from("<3Q", data, at + 8)
        if block != 1:
            struct.pack_into("<Q", data, start + block, block)


def endless(data: bytearray) -> None:
    """Claim that the names of a group take the rest of a file of many megabytes."""
    struct.pack_into("<3Q", data, data.index(b"HEAP\0") + 8, 2 * 1024**2, 1, len(data))
    data += bytes(2 * 1024**2)


def raw(change: Callable[[bytearray], object]) -> Build:
    """Change the bytes of the weight file."""

    def build(directory: Path) -> None:
        data = bytearray((directory / WEIGHTS).read_bytes())
        change(data)
        (directory / WEIGHTS).write_bytes(data)

    return build


def cut(directory: Path) -> None:
    path = directory / WEIGHTS
    path.write_bytes(path.read_bytes()[:-3000])


def index(weight_map: object) -> Build:
    """Spread the weights, or claim to, as a sharded preset does."""

    def build(directory: Path) -> None:
        (directory / WEIGHTS).rename(directory / "model_00000.weights.h5")
        (directory / INDEX).write_text(json.dumps({"weight_map": weight_map}))

    return build


def shard(name: object) -> Build:
    return index({f"/{LAYER}/vars": name})


REFERENCE = h5py.ref_dtype
TEXT = h5py.string_dtype()
LINKS = [
    Case("an external link for all layers",
         put("layers", lambda _: h5py.ExternalLink(OUTSIDE, "/layers")), "/layers is a link to an"),
    Case("an external link for a dataset",
         put(BIAS, lambda _: h5py.ExternalLink(OUTSIDE, f"/{BIAS}")), "vars/1 is a link to anothe"),
    Case("an external link to a secret",
         put(LAYER, lambda _: h5py.ExternalLink("/etc/passwd", "/")), "dense_1 is a link to anoth"),
    Case("a soft link for all layers", moved("layers", lambda: h5py.SoftLink("/elsewhere")),
         "/layers is a link to another place"),
    Case("a soft link inside a group",
         moved(f"{LAYER}/vars", lambda: h5py.SoftLink("/elsewhere")), "dense_1/vars is a link"),
    Case("a soft link to itself", put(BIAS, lambda _: h5py.SoftLink(f"/{BIAS}")), "is a link to"),
    Case("a group that holds its parent", edit(own_parent), "holds 3 variables, not 2"),
    Case("storage in a secret",
         bias(data=None, shape=(32,), dtype="f4", external=[("../outside/secret.txt", 0, 128)]),
         "is stored in another file"),
    Case("storage in a device",
         bias(data=None, shape=(32,), dtype="f4", external=[("/dev/zero", 0, 128)]),
         "is stored in another file"),
    Case("a virtual dataset", edit(virtual), "is stored in another file"),
]  # fmt: skip
STORAGE = [
    Case("gzip", bias(compression="gzip"), "is compressed or filtered"),
    Case("lzf", bias(compression="lzf"), "is compressed or filtered"),
    Case("a gzip bomb",
         bias(data=None, shape=(2**36,), dtype="f4", chunks=(2**20,), compression="gzip"),
         "is compressed or filtered"),
    Case("a shuffle", bias(shuffle=True, chunks=(32,)), "is compressed or filtered"),
    Case("a checksum", bias(fletcher32=True), "is compressed or filtered"),
    Case("rounding", bias(data=np.zeros(32, "f4"), scaleoffset=3), "is compressed or filtered"),
    Case("chunks that are not there", edit(half_written), "has 32 bytes of its 128"),
    Case("no bytes at all", bias(data=None, shape=(32,), dtype="f4"), "has 0 bytes of its 128"),
    Case("huge dimensions", bias(data=None, shape=(2**40, 2**20), dtype="f4", chunks=(1, 1024)),
         "has shape"),
    Case("a dimension of zero", bias(data=np.zeros(0, "f4")), r"has shape \(0,\)"),
    Case("a scalar", bias(data=np.float32(1)), r"has shape \(\)"),
    Case("no shape at all", bias(data=h5py.Empty("f4")), "has shape None"),
    Case("one number too many", bias(data=np.zeros(33, "f4")), r"has shape \(33,\)"),
]  # fmt: skip
DTYPES = [
    Case("integers", bias(data=np.zeros(32, "i4")), "is stored as int32"),
    Case("complex numbers", bias(data=np.zeros(32, "c8")), "is stored as complex64"),
    Case("wide floats", bias(data=np.zeros(32, np.longdouble)), "not as a float"),
    Case("booleans", bias(data=np.zeros(32, "?")), "not as a float"),
    Case("references", bias(data=None, shape=(32,), dtype=REFERENCE), "not as a float"),
    Case("fixed text", bias(data=np.array([b"canary"] * 32)), "not as a float"),
    Case("text of any length", bias(data=["canary"] * 32, dtype=TEXT), "not as a float"),
    Case("lists of any length", bias(data=None, shape=(32,), dtype=h5py.vlen_dtype("f4")),
         "not as a float"),
    Case("records", bias(data=np.zeros(32, [("a", "f4"), ("b", "i4")])), "not as a float"),
    Case("lists of floats", bias(data=None, shape=(32,), dtype="(4,)f4"), "has shape|not as a fl"),
    Case("opaque bytes", bias(data=np.zeros(32, "V2")), "not as a float"),
    Case("a mark on too many bytes", marked("bfloat16", "V4"), "not as a float"),
    Case("a mark that is a list", marked(np.arange(8000)), "damaged"),
    Case("a type in place of a dataset", put(BIAS, lambda _: np.dtype("f4")), "is not a dataset"),
    Case("a group in place of a dataset",
         edit(lambda f: (f.__delitem__(BIAS), f.create_group(BIAS))), "is not a dataset"),
    Case("a dataset in place of a group", put(LAYER, lambda _: np.zeros(3)), "no weights for pool"),
    Case("a layer that is missing",
         edit(lambda f: f.__delitem__("layers/f_net_encoder_1/_output_dense")),
         "no weights for f_net_layer_1/output_dense"),
    Case("a variable too many",
         edit(lambda f: f.create_dataset(f"{LAYER}/vars/canary", data=1)), "holds 3 variables"),
]  # fmt: skip
FILES = [
    Case("weights cut short", cut, "not a readable HDF5 file"),
    Case("names that run in a circle", raw(circle), "the names of a group, .* run in a circle"),
    Case("names of megabytes", raw(endless), "the names of a group take 2,097,152 bytes"),
    Case("addresses of four bytes", raw(lambda d: d.__setitem__(13, 4)), "of other widths"),
    Case(
        "a script before the weights",
        raw(lambda d: d.__setitem__(slice(0, 0), b"#!/bin/sh\n".ljust(512))),
        "another beginning",
    ),
    Case("a signature alone", write(WEIGHTS, b"\x89HDF\r\n\x1a\n"), "not a readable HDF5 file"),
    Case("no weights", write(WEIGHTS, b""), "not a readable HDF5 file"),
    Case("an error page for weights", write(WEIGHTS, "<html>503</html>"), "not a readable HDF5"),
    Case("a pickle for weights", write(WEIGHTS, pickle.dumps(Shell())), "not a readable HDF5"),
    Case("a FIFO for weights", instead(WEIGHTS, os.mkfifo), f"has no {WEIGHTS}"),
    Case("a directory for weights", instead(WEIGHTS, Path.mkdir), f"has no {WEIGHTS}"),
    Case("a device for weights", link(WEIGHTS, "/dev/zero"), f"has no {WEIGHTS}"),
    Case(
        "a link to a secret for weights", link(WEIGHTS, "../outside/secret.txt"), "not a readable"
    ),
]
INDEXES = [
    Case("a shard that climbs", shard(OUTSIDE), "is not the name of a weight file"),
    Case("a shard in a list that climbs", shard(["model_00000.weights.h5", OUTSIDE]), "not the na"),
    Case("an absolute shard", shard("/etc/weights.h5"), "is not the name of a weight file"),
    Case("a shard with backslashes", shard("..\\outside\\weights.h5"), "is not the name of a wei"),
    Case("a shard below", shard("sub/weights.h5"), "is not the name of a weight file"),
    Case("a shard with a NUL", shard("model\0.h5"), "is not the name of a weight file"),
    Case("a shard of another kind", shard("weights.pkl"), "is not the name of a weight file"),
    Case("a shard that is a number", shard(1), "is not the name of a weight file"),
    Case("no shard", shard([]), "no weights for|has no weight|lacks"),
    Case("a shard that is missing", shard("other.h5"), "other.h5: missing"),
    Case("too many shards", index({f"/{i}/vars": f"m{i}.h5" for i in range(5000)}), "names more t"),
    Case("a shard that is a FIFO",
         after(shard("s.h5"), lambda directory: os.mkfifo(directory / "s.h5")), "s.h5: missing"),
    Case("an index that is a list", index(["model_00000.weights.h5"]), "has no weight_map"),
    Case("a FIFO for an index",
         after(index({}), instead(INDEX, os.mkfifo)), "model.weights.json: not a regular file"),
    Case("an index nested deeply",
         after(index({}), write(INDEX, '{"weight_map":' * 100_000)), "not valid JSON"),
]  # fmt: skip
CASES = [*LINKS, *STORAGE, *DTYPES, *FILES, *INDEXES]
