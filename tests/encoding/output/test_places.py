"""A directory of parts is the same to a job on a disk, in S3, and wherever fsspec reaches."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator

import orjson
import pytest
from fakes.object_store import ObjectStore

from fnet_cli.config import Settings
from fnet_cli.encoding.output import stored_place
from fnet_cli.encoding.output.places import LocalPlace, Place
from fnet_cli.encoding.output.stored_place import StoredPlace
from fnet_cli.encoding.plan import _MOST_IN_S3
from fnet_cli.errors import NetworkError, OutputError
from fnet_cli.stores import Stores

KINDS = ("disk", "s3", "fsspec")


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with ObjectStore("parts") as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.credentials.items():
            patch.setenv(name, value)
        yield store


@pytest.fixture
def reach(store, tmp_path, monkeypatch):
    """Return a function that gives a place of a kind, another object at each call."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    settings = Settings(s3_endpoint=store.url, s3_region="us-east-1", retries=0, timeout=5)

    def place(kind: str) -> Place:
        if kind == "disk":
            return LocalPlace(tmp_path / "out")
        uri = f"s3://{store.bucket}/{tmp_path.name}/out/"
        if kind == "fsspec":
            uri = f"local://{tmp_path}/out/"
        return StoredPlace(uri, Stores(settings))

    return place


@pytest.mark.parametrize("kind", KINDS)
def test_files_are_whole_or_not_there(reach, kind, tmp_path):
    place = reach(kind)
    with place.opened():
        grown = place.work / "part-00000/data"
        grown.parent.mkdir()
        grown.write_bytes(b"rows" * 1000)
        assert place.names() == {}
        place.take(grown, "part-00000.parquet")
        place.write("_fnet/job.json", b"{}")
        assert place.names() == {"part-00000.parquet": 4000, "_fnet/job.json": 2}
        assert not grown.exists()
        place.write("_fnet/job.json", b"[1]")
        assert place.read("_fnet/job.json") == b"[1]"
        assert (place.size("part-00000.parquet"), place.size("other")) == (4000, None)
        assert place.read("other") is None
        place.remove("part-00000.parquet")
        place.remove("other")
        assert list(place.names()) == ["_fnet/job.json"]


@pytest.mark.parametrize("kind", KINDS)
def test_what_could_not_be_sent_to_its_end_is_not_there(reach, kind):
    def broken() -> Iterator[bytes]:
        yield b"rows" * 3_000_000  # more than S3 is sent at once
        raise OSError("the disk is gone")

    place = reach(kind)
    with place.opened():
        with pytest.raises((OSError, NetworkError)):
            place.write_beside("/part-00000.parquet", broken())
        gc.collect()  # what is left of the stream must not end it
        assert place.size("part-00000.parquet") is None


def test_an_object_of_s3_is_sent_in_pieces_of_10_mebibytes(reach, store, tmp_path):
    place = reach("s3")  # of which it takes ten thousand: how much is refused rests on both
    with place.opened():
        place.write_beside("", (bytes(2**20) for _ in range(25)))
        found = store.client.head_object(Bucket=store.bucket, Key=f"{tmp_path.name}/out")
    assert found["ETag"].strip('"').endswith("-3")
    assert _MOST_IN_S3 == 10_000 * 10 * 2**20


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_may_stand_beside_the_directory(reach, kind):
    place = reach(kind)
    with place.opened():
        place.write_beside(".rejected.jsonl", iter([b"1\n", b"2\n"]))
        assert place.beside(".rejected.jsonl").endswith("/out.rejected.jsonl")
        assert place.names() == {}
        place.remove_beside(".rejected.jsonl")
        place.remove_beside(".rejected.jsonl")


@pytest.mark.parametrize("kind", KINDS)
def test_a_place_can_be_sent_to_another_process(reach, kind):
    place = reach(kind)
    with place.opened():
        place.write("_fnet/job.json", b"{}")
        assert pickle.loads(pickle.dumps(place)).read("_fnet/job.json") == b"{}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_user_is_refused_by_the_name_of_the_first(reach, kind):
    with (
        reach(kind).opened(),
        pytest.raises(OutputError, match=f"is being written by process {os.getpid()}"),
        reach(kind).opened(),
    ):
        pass
    with reach(kind).opened():
        pass


@pytest.mark.parametrize("kind", ["s3", "fsspec"])
def test_what_a_dead_process_held_is_taken_over_at_once(reach, kind, tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock = {"host": stored_place.socket.gethostname(), "process": dead.pid, "sign": 1}
    reach(kind).write("_fnet/lock", orjson.dumps(lock))
    here = tmp_path / f"tmp/fnet-parts-{lock['host']}-{dead.pid}-ab12"
    elsewhere = tmp_path / f"tmp/fnet-parts-another-host-{dead.pid}-ab12"
    for left in (here, elsewhere):
        (left / str(dead.pid)).mkdir(parents=True)
    with reach(kind).opened():
        assert (here.exists(), elsewhere.exists()) == (False, True)


def test_another_machine_that_gives_no_sign_is_taken_to_be_gone(reach, monkeypatch):
    monkeypatch.setattr(stored_place, "_SILENT_SECONDS", 1.5)
    lock = {"host": "elsewhere", "process": 5, "sign": 1}
    reach("s3").write("_fnet/lock", orjson.dumps(lock))
    with reach("s3").opened():
        assert os.getpid() == orjson.loads(reach("s3").read("_fnet/lock"))["process"]


def test_another_machine_that_gives_a_sign_keeps_the_place(reach, monkeypatch):
    monkeypatch.setattr(stored_place, "_SILENT_SECONDS", 30)
    reach("s3").write("_fnet/lock", b'{"host": "elsewhere", "process": 5, "sign": 1}')
    read, place = iter((1, 1, 2)), reach("s3")
    content = lambda _name: b'{"host": "elsewhere", "process": 5, "sign": %d}' % next(read)  # noqa: E731
    monkeypatch.setattr(place, "read", content)
    with pytest.raises(OutputError, match="by process 5 on elsewhere"), place.opened():
        pass


def test_who_holds_a_place_says_so_again_and_again(reach, monkeypatch):
    monkeypatch.setattr(stored_place, "_SIGN_SECONDS", 0.05)
    place = reach("s3")
    with place.opened():
        first = place.read("_fnet/lock")
        deadline = stored_place.time.monotonic() + 10
        while place.read("_fnet/lock") == first and stored_place.time.monotonic() < deadline:
            stored_place.time.sleep(0.02)
        assert place.read("_fnet/lock") != first
    assert place.read("_fnet/lock") is None


def test_of_two_that_begin_at_once_the_one_whose_lock_is_gone_gives_way(reach, monkeypatch):
    monkeypatch.setattr(stored_place, "_FIRST_SIGN_SECONDS", 0.05)
    place, others = reach("s3"), b'{"host": "elsewhere", "process": 5, "sign": 1}'

    def lose() -> None:
        reach("s3").write("_fnet/lock", others)
        deadline = stored_place.time.monotonic() + 10
        while stored_place.time.monotonic() < deadline:
            place.write("part-00000.parquet", b"")

    with pytest.raises(OutputError, match="by process 5 on elsewhere"), place.opened():
        lose()
    assert place.read("_fnet/lock") == others


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_on_this_machine_in_the_end(reach, kind, tmp_path):
    with reach(kind).opened() as _, pytest.raises(KeyError):
        raise KeyError
    assert list((tmp_path / "tmp").iterdir()) == []
    assert kind == "fsspec" or not (tmp_path / "out").exists()


def test_a_bucket_that_is_not_there_is_said(store):
    settings = Settings(s3_endpoint=store.url, s3_region="us-east-1", retries=0, timeout=5)
    place = StoredPlace("s3://no-such-bucket/out/", Stores(settings))
    with pytest.raises(OutputError, match="no-such-bucket/out: there is no"), place.opened():
        pass


def test_a_store_that_is_away_is_said(tmp_path):
    settings = Settings(s3_endpoint="http://127.0.0.1:9", s3_region="x", retries=0, timeout=2)
    place = StoredPlace("s3://bucket/out/", Stores(settings))
    with pytest.raises(NetworkError, match="s3://bucket/out"), place.opened():
        pass
