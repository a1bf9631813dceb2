"""Locks are taken over from processes that died, also while they made them."""

from __future__ import annotations

import os
import threading
import time

import pytest
from filelock import SoftFileLease, SoftFileLock

from fnet_cli import locks
from fnet_cli.locks import taken

KINDS = [SoftFileLock, SoftFileLease]


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(locks, "_EMPTY_SECONDS", 0.4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_held_is_not_taken(tmp_path, kind):
    first, second = kind(tmp_path / "lock"), kind(tmp_path / "lock")
    assert taken(first)
    assert not taken(second)
    first.release()
    assert taken(second)
    second.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_stays_empty_is_of_a_dead_process(tmp_path, kind):
    (tmp_path / "lock").touch()
    begun = time.monotonic()
    lock = kind(tmp_path / "lock")
    assert taken(lock)
    assert time.monotonic() - begun >= 0.4
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    lock.release()


def test_one_that_is_just_being_written_is_left_to_its_holder(tmp_path):
    path = tmp_path / "lock"
    path.touch()
    holder = SoftFileLock(tmp_path / "of the holder")
    holder.acquire()
    record = (tmp_path / "of the holder").read_bytes()
    threading.Timer(0.2, path.write_bytes, [record]).start()
    assert not taken(SoftFileLock(path))
    assert path.read_bytes() == record
    holder.release()


def test_what_takers_that_died_have_left_is_removed(tmp_path):
    left = tmp_path / f"lock.break.{os.getpid()}.{'a' * 32}"
    left.touch()
    (tmp_path / "locked").touch()
    lock = SoftFileLock(tmp_path / "lock")
    assert taken(lock)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock", "locked"]
    lock.release()


def test_of_many_who_find_an_empty_one_at_once_one_takes_it(tmp_path):
    (tmp_path / "lock").touch()
    locks_of_all = [SoftFileLock(tmp_path / "lock") for _ in range(8)]
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda lock=lock: results.append(taken(lock)))
        for lock in locks_of_all
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(True) == 1
