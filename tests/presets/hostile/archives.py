"""Archives whose members lead elsewhere, lie, or fill memory and disks."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
from presets.hostile.cases import Build, Case, Shell, foreign, instead, lambda_layer, link
from presets.hostile.tars import (
    Parts,
    member,
    parts_of,
    special,
    with_file,
    with_record,
    write_parts,
)

from fnet_cli.presets.archive.plain_tar import END, header_of
from fnet_cli.presets.archive.record import RECORD_FILE
from fnet_cli.presets.store.manifest import Manifest

ARCHIVE = "preset.tar"
CONFIG = "files/config.json"
WEIGHTS = "files/model.weights.h5"
SECRET = b"outside"


def parts(change: Callable[[Parts], Parts]) -> Build:
    """Rewrite the members; the record stays as it is."""
    return lambda directory: write_parts(directory / ARCHIVE, change(parts_of(directory / ARCHIVE)))


def inserted(block: bytes, at: int = 2) -> Build:
    """Put raw blocks among the members: before the record, or behind so many."""

    def build(directory: Path) -> None:
        members = [member(name, data) for name, data in parts_of(directory / ARCHIVE)]
        whole = [*members[:at], block, *members[at:], END]
        (directory / ARCHIVE).write_bytes(b"".join(whole))

    return build


def named(name: str) -> Build:
    """Put a member of this name behind the config."""
    return inserted(special(name, tarfile.REGTYPE, size=len(SECRET)) + SECRET.ljust(512, b"\0"))


def kind(kind: bytes, target: str = "", name: str = WEIGHTS, **fields: Any) -> Build:
    return inserted(special(name, kind, target, **fields))


def recorded(**changes: Any) -> Build:
    return parts(lambda old: with_record(old, lambda manifest: replace(manifest, **changes)))


def file_recorded(name: str, **changes: Any) -> Build:
    """Let the record say something else of one file."""

    def change(manifest: Manifest) -> Manifest:
        files = [replace(f, **changes) if f.name == name else f for f in manifest.files]
        return replace(manifest, files=tuple(files))

    return parts(lambda old: with_record(old, change))


def raw_record(text: bytes) -> Build:
    return parts(lambda old: [(RECORD_FILE, text), *old[1:]])


def record_file(**changes: Any) -> Build:
    """Change the record's first file, and not the hash of the record."""

    def change(old: Parts) -> Parts:
        document = json.loads(old[0][1])
        document["files"][0].update(changes)
        return [(RECORD_FILE, json.dumps(document).encode()), *old[1:]]

    return parts(change)


def carrying(name: str, data: bytes) -> Build:
    """Put a file into the archive as an honest exporter would."""
    return parts(lambda old: with_file(old, name, data))


def weights(change: Callable[[h5py.File], object]) -> Build:
    def rewritten(old: Parts) -> Parts:
        data = io.BytesIO(dict(old)[WEIGHTS])
        with h5py.File(data, "r+") as file:
            change(file)
        return with_file(old, "model.weights.h5", data.getvalue())

    return parts(rewritten)


def external(file: h5py.File) -> None:
    del file["layers"]
    file["layers"] = h5py.ExternalLink("../outside/weights.h5", "/layers")


def config(**changes: Any) -> Build:
    def rewritten(old: Parts) -> Parts:
        document = json.loads(dict(old)[CONFIG])
        document["config"].update(changes)
        return with_file(old, "config.json", json.dumps(document).encode())

    return parts(rewritten)


def bytes_of(change: Callable[[bytes], bytes]) -> Build:
    return lambda directory: (directory / ARCHIVE).write_bytes(
        change((directory / ARCHIVE).read_bytes())
    )


def damaged(data: bytes) -> bytes:
    """Flip a bit in the last file's bytes."""
    at = len(data) - 4096
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def zipped(data: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("../../outside/secret.txt", data)
    return target.getvalue()


def gzip_bomb(directory: Path) -> None:
    with gzip.open(directory / ARCHIVE, "wb", compresslevel=1) as file:
        for _ in range(200):
            file.write(bytes(1024**2))


def hollow(directory: Path) -> None:
    """Claim weights of 8 GB, and have a file of that size without a block of them."""
    path = directory / ARCHIVE
    old = parts_of(path)
    data = b"".join(member(name, data) for name, data in old[:3])
    with path.open("wb") as file:
        file.write(data + header_of("files/metadata.json", 8_000_000_000))
        file.truncate(9_000_000_000)


def pax(size: int, data: bytes = b"") -> bytes:
    return special("PaxHeaders/x", tarfile.XHDTYPE, size=size) + data


NAMES = [
    Case("a member that climbs", named("../outside/secret.txt"), "is not the name of a preset's"),
    Case("a member that climbs later", named("files/a/../../../outside/secret.txt"), "is not the"),
    Case("an absolute member", named("/tmp/secret.txt"), "is not the name of a preset's file"),
    Case("a member with backslashes", named("files\\..\\..\\secret.txt"), "is not the name of a p"),
    Case("a member of a drive", named("C:secret.txt"), "is not the name of a preset's file"),
    Case("a hidden member", named("files/.bashrc"), "is not the name of a preset's file"),
    Case("a member of no name", named(""), "is not the name of a preset's file"),
    Case("a member with escapes", named("files/\x1b[2J"), r"is not the name .*|\\x1b"),
    Case("a member of another alphabet", named("files/cönfig.json"), "is not the name of a preset"),
    Case("a member that climbs before the record", inserted(special("../x", tarfile.REGTYPE), 0),
         "is not the name of a preset's file"),
]  # fmt: skip
KINDS = [
    Case("a symbolic link", kind(tarfile.SYMTYPE, "/etc/passwd"), "is a symbolic link"),
    Case("a link to a directory above", kind(tarfile.SYMTYPE, "..", "files/assets"), "is a symb"),
    Case("a hard link", kind(tarfile.LNKTYPE, "../outside/secret.txt"), "is a hard link"),
    Case("a character device", kind(tarfile.CHRTYPE, devmajor=1, devminor=5), "is a device"),
    Case("a block device", kind(tarfile.BLKTYPE, devmajor=8), "is a device"),
    Case("a FIFO in an archive", kind(tarfile.FIFOTYPE), "is a FIFO"),
    Case("a directory in an archive", kind(tarfile.DIRTYPE, mode=0o777), "is a directory"),
    Case("a directory by its slash", named("files/assets/"), "is not the name of a preset's file"),
    Case("a sparse member", kind(tarfile.GNUTYPE_SPARSE, size=2**40), "is a sparse file"),
    Case("a contiguous member", kind(tarfile.CONTTYPE), "is of kind"),
    Case("a kind that nobody knows", kind(b"Z"), "is of kind"),
    Case("a PAX header of 2 GiB", inserted(pax(2**31)), "is an extended header"),
    Case("a PAX header with its bytes", inserted(pax(2**26, bytes(2**26))), "is an extended heade"),
    Case("a global PAX header first",
         inserted(special("g", tarfile.XGLTYPE, size=2**31), 0), "is an extended header"),
    Case("a long name of 1 GiB",
         kind(tarfile.GNUTYPE_LONGNAME, name="././@LongLink", size=2**30), "is a long name"),
    Case("a long link", kind(tarfile.GNUTYPE_LONGLINK, name="././@LongLink"), "is a long name"),
    Case("a negative size", kind(tarfile.REGTYPE, size=-512), "has a negative size"),
    Case("a size beyond everything", kind(tarfile.REGTYPE, size=2**62), "cut short"),
    Case("weights without a block", hollow, "has 8,000,000,000 bytes, its record says", 6),
]  # fmt: skip
MEMBERS = [
    Case("a member that stands twice", parts(lambda p: [*p[:3], p[2], *p[3:]]), "stands twice", 6),
    Case("a config that stands twice", parts(lambda p: [*p, p[1]]), "config.json stands twice", 6),
    Case("a record that stands twice", parts(lambda p: [p[0], *p]), "is not in its record", 6),
    Case("a member too many", parts(lambda p: [*p, ("files/run.py", b"")]), "not in its record", 6),
    Case("a hundred thousand members",
         inserted(member("files/metadata.json", b"") * 100_000, 3), "bytes, its record says", 6),
    Case("a missing member", parts(lambda p: p[:-1]), "lacks tokenizer.json", 6),
    Case("members in another order", parts(lambda p: [p[0], *p[:0:-1]]), "out of its order", 6),
    Case("another size", file_recorded("metadata.json", size=1), "bytes, its record says 1", 6),
    Case("another hash", file_recorded("model.weights.h5", sha256="0" * 64), "is damaged", 6),
    Case("another hash of the config", file_recorded("config.json", sha256="0" * 64), "damaged", 6),
    Case("a damaged bit", bytes_of(damaged), "is damaged: its sha256|the header at byte", 6),
    Case("bytes after the end", bytes_of(lambda d: d + b"PK\3\4" + d), "follow after its end", 6),
    Case("a second archive after the end", bytes_of(lambda d: d + d), "follow after its end", 6),
    Case("a damaged header",
         bytes_of(lambda d: d.replace(WEIGHTS.encode(), b"files/model.weightz.h5")),
         "the header at byte .* is damaged", 6),
    Case("an archive cut short", bytes_of(lambda d: d[:-2000]), "cut short"),
    Case("an archive without an end", bytes_of(lambda d: d[:-1024]), "cut short"),
]  # fmt: skip
NO_ARCHIVE = "not an archive of a preset"
OTHERS = [
    Case("no bytes for an archive", bytes_of(lambda _: b""), NO_ARCHIVE),
    Case("text for an archive", bytes_of(lambda _: b"#!/bin/sh\nexit 0\n" * 99), NO_ARCHIVE),
    Case("zeros for an archive", bytes_of(lambda _: bytes(10240)), NO_ARCHIVE),
    Case("a pickle for an archive", bytes_of(lambda _: pickle.dumps(Shell())), NO_ARCHIVE),
    Case("a zip for an archive", bytes_of(zipped), NO_ARCHIVE),
    Case("a compressed archive", bytes_of(gzip.compress), NO_ARCHIVE),
    Case("an archive under xz", bytes_of(lzma.compress), NO_ARCHIVE),
    Case("a gzip bomb for an archive", gzip_bomb, NO_ARCHIVE),
    Case("a tar file of something else", parts(lambda p: p[1:]), NO_ARCHIVE),
    Case("a directory for an archive", instead(ARCHIVE, Path.mkdir), "not a regular file"),
    Case("a FIFO for an archive", instead(ARCHIVE, os.mkfifo), "not a regular file"),
    Case("a device for an archive", link(ARCHIVE, "/dev/zero"), "not a regular file"),
]
RECORDS = [
    Case("a record that was changed", bytes_of(lambda d: d.replace(b'"dtype": "f', b'"dtype": "g')),
         "has been changed since it was written", 6),
    Case("a record that is a pickle", raw_record(pickle.dumps(Shell())), "not valid JSON"),
    Case("a record nested deeply", raw_record(b'{"a":' * 100_000), "not valid JSON"),
    Case("a record of 5 MiB", raw_record(b" " * 5 * 1024**2), "fnet-preset.json is too large"),
    Case("a record without files", recorded(files=()), "is of the wrong kind"),
    Case("a record of a file above", record_file(name="../../.bashrc"), "is not the name of a pre"),
    Case("a record of an absolute file", record_file(name="/etc/passwd"), "is not the name of a p"),
    Case("a record of a size below zero", record_file(size=-1), "no usable size or sha256"),
    Case("a record of a hash that is a path", record_file(sha256="../../x"), "no usable size or s"),
    Case("a handle that climbs", recorded(handle="kaggle://../../x/keras/y"), "is not a handle of"),
    Case("a handle of another preset", recorded(handle="f_net_base_en"), "do not fit together"),
    Case("a handle with credentials", recorded(handle="https://a:b@c/d", source="mirror"),
         "where credentials stand"),
    Case("a branch that climbs",
         recorded(handle="hf://a/b", source="huggingface", revision="a" * 40, requested="../../x"),
         "is not a handle of huggingface"),
    Case("a revision that is a branch",
         recorded(handle="hf://a/b", source="huggingface", revision="main"), "do not fit together"),
    Case("more parameters than the config", recorded(parameters=19 * 10**9), "its record says"),
    Case("more parameters than anything", recorded(parameters=10**18), "record claims 1,000,000,"),
    Case("weights of 10 GB", file_recorded("model.weights.h5", size=10**10), "more than such a pr"),
    Case("a vocabulary of 1 GB",
         file_recorded("assets/tokenizer/vocabulary.spm", size=10**9), "more than such a preset"),
]  # fmt: skip
PRESETS = [
    Case("a program among the files", carrying("run.py", b"import os"), "is no file of a preset"),
    Case("a pickle among the files", carrying("pytorch_model.bin", b"x"), "is no file of a preset"),
    Case("weights of two kinds", carrying("more.h5", b"\x89HDF\r\n\x1a\n"), "is no part of the pr"),
    Case("a giant's config", config(hidden_dim=65536, intermediate_dim=262144, num_layers=512),
         "over the limit"),
    Case("a config of other sizes", config(num_layers=3), "its record says"),
    Case("a Lambda in a config", config(activation=lambda_layer()), "unknown setting"),
    Case("a Lambda for a tokenizer", carrying("tokenizer.json", json.dumps(foreign()).encode()),
         "describes None"),
    Case("bad encode settings", carrying("encode_settings.json", b'{"padding": 8}'),
         "files/encode_settings.json: padding is 8, allowed: max, bucket, none"),
    Case("encode settings beyond the model",
         carrying("encode_settings.json", b'{"sequence_length": 41}'), r"allowed: 1\.\.40"),
    Case("links in weights", weights(external), "files/model.weights.h5: /layers is a link to ano"),
    Case("a layer that weights lack", weights(lambda f: f.__delitem__("layers/dense_1")),
         "no weights for pooled_dense"),
    Case("a pickle for weights", carrying("model.weights.h5", pickle.dumps(Shell())),
         "model.weights.h5 is something else"),
    Case("an error page for a vocabulary",
         carrying("assets/tokenizer/vocabulary.spm", b"<html>"), "vocabulary.spm is something els"),
]  # fmt: skip
CASES = [*NAMES, *KINDS, *MEMBERS, *OTHERS, *RECORDS, *PRESETS]
