"""URIs: which are refused before anything is asked, and what errors of stores become."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pytest
from fsspec.registry import known_implementations

from fnet_cli.config import Settings
from fnet_cli.errors import InputDataError, NetworkError, UsageError
from fnet_cli.stores import check_uri, is_uri, local_path, open_store, store_errors

SECRET = "s3cr3t"
MISSING = InputDataError("x: no such file")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("s3://b/x", True), ("GS://b", True), ("a/b", False), ("C:/x", False), ("-", False),
     ("x y://z", False), ("://x", False), ("data/a://b", False)],
)  # fmt: skip
def test_what_is_a_uri(text, expected):
    assert is_uri(text) is expected


def test_a_file_uri_is_the_path_that_stands_in_it():
    assert local_path("file:///a/k=de%2FAT/x.parquet") == "/a/k=de%2FAT/x.parquet"
    assert local_path("FILE://localhost/a b") == "/a b"
    assert local_path("a/b") == "a/b"
    assert local_path("s3://b/x") == "s3://b/x"


@pytest.mark.parametrize("uri", [f"file://host:{SECRET}/x", "file://x", "file://"])
def test_a_file_of_another_host_is_refused(uri):
    with pytest.raises(UsageError, match="a host") as caught:
        check_uri(uri)
    assert SECRET not in str(caught.value)
    assert "file:///" in caught.value.hint


@pytest.mark.parametrize(
    "uri",
    [
        f"s3://key:{SECRET}@bucket/x",
        f"s3://key:sla/sh{SECRET}@bucket/x",
        f"gs://{SECRET}@bucket/x",
        f"s3://bucket/x?secret_key={SECRET}",
        f"s3://bucket/x.parquet?X-Amz-Signature={SECRET}",
        f"abfs://user:{SECRET}@account/x",
        f"sftp://user:pass/word{SECRET}@host/x",
        f"https://user:{SECRET}@host/x",
        f"abfs://container@account/x?a=b&sig={SECRET}",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_shown(uri):
    with pytest.raises(UsageError, match="credentials") as caught:
        check_uri(uri)
    assert SECRET not in f"{caught.value}{caught.value.hint}"


@pytest.mark.parametrize(
    "uri",
    ["s3://bucket/key=1/x?.parquet", "abfs://container@account/x", "sftp://user@host:22/x",
     "hdfs://name:8020/x", "hdfs:///x", "s3://bucket/a::b", "file:///x?token=1"],
)  # fmt: skip
def test_a_uri_without_credentials_passes(uri):
    check_uri(uri)


@pytest.mark.parametrize(
    ("uri", "said"),
    [("https://host/x.parquet?t", "https://host/x.parquet: files on web servers"),
     ("zip://a::https://host/x", "chains"), ("s3:///x", "names no bucket"),
     ("s3://bucket//x", "two slashes")],
)  # fmt: skip
def test_a_uri_that_cannot_be_read_is_refused(uri, said):
    with pytest.raises(UsageError, match=said):
        open_store(uri, Settings())


def test_a_scheme_that_nobody_knows_is_refused():
    with pytest.raises(UsageError, match="no store nonsense://") as caught:
        open_store("nonsense://x/y", Settings())
    assert "s3://" in caught.value.hint


def test_without_fsspec_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match="needs fsspec") as caught:
        open_store("memory://x", Settings())
    assert "fnet-cli[fsspec]" in caught.value.hint


def test_a_package_that_fsspec_lacks_is_named(monkeypatch):
    known = {"class": "no_such_package.Files", "err": "Install no_such_package"}
    monkeypatch.setitem(known_implementations, "lacking", known)
    with pytest.raises(UsageError, match="lacking:// needs") as caught:
        open_store("lacking://x", Settings())
    assert caught.value.hint == "Install no_such_package"


def test_without_libhdfs_what_it_needs_is_named(monkeypatch):
    monkeypatch.setattr(pa, "have_libhdfs", lambda: False)
    with pytest.raises(UsageError, match="needs libhdfs") as caught:
        open_store("hdfs://name/x", Settings())
    assert "HADOOP_HOME" in caught.value.hint


@pytest.mark.parametrize("uri", ["s3://b/x", "gs://b/x", "hdfs://h/x", "ftp://h/x"])
def test_offline_no_store_is_reached(uri):
    with pytest.raises(NetworkError, match="offline"):
        open_store(uri, Settings(offline=True))


def test_offline_what_is_on_this_machine_is_read(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"1234")
    for scheme in ("file", "local"):
        filesystem, path = open_store(f"{scheme}://{tmp_path}/x", Settings(offline=True))
        assert filesystem.get_file_info(path).size == 4


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (FileNotFoundError(2, "gone"), InputDataError, "x: no such file"),
        (PermissionError(13, "no"), NetworkError, "s3://b/x: access is refused"),
        (OSError("away\nfor good"), NetworkError, "s3://b/x: away"),
        (ValueError("odd"), NetworkError, "s3://b/x: odd"),
        (pa.ArrowInvalid("odd"), NetworkError, "s3://b/x: odd"),
        (UsageError("ours"), UsageError, "ours"),
        (KeyError("a bug"), KeyError, "a bug"),
    ],
)
def test_errors_of_a_store_become_ours(error, kind, said):
    with pytest.raises(kind) as caught, store_errors("s3://b/x", MISSING):
        raise error
    assert str(caught.value).strip("'") == said


def test_of_what_is_raised_behind_fsspec_only_the_type_is_shown():
    with pytest.raises(NetworkError) as caught, store_errors("abfs://c@a/x", MISSING):
        raise RuntimeError(SECRET)
    assert str(caught.value) == "abfs://c@a/x: cannot be read: RuntimeError"
