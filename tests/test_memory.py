"""Amounts of memory as they are given, and what the system says that there is."""

from __future__ import annotations

import os

import pytest

from fnet_cli.errors import UsageError
from fnet_cli.memory import family, parse_size, resident_bytes, total_bytes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4GB", 4 * 10**9),
        ("1500mb", 1500 * 10**6),
        ("2GiB", 2 * 2**30),
        ("1.5 GB", 15 * 10**8),
        ("80%", 800),
        ("100%", 1000),
    ],
)
def test_an_amount_is_in_units_or_a_share(text, size):
    assert parse_size(text, 1000) == size


@pytest.mark.parametrize("text", ["", "4", "GB", "-1GB", "0GB", "0%", "101%", "4GBs", "1e3MB"])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="no amount of memory") as refused:
        parse_size(text, 1000)
    assert "80%" in refused.value.hint


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    ("groups", "file", "limit"),
    [
        ("0::/a/b\n", "sys/fs/cgroup/a/memory.max", "1000000\n"),
        ("4:memory:/host/path\n0::/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes", "1000000\n"),
    ],
)
def test_a_group_that_has_less_than_the_machine_decides(tmp_path, groups, file, limit):
    write(tmp_path / "proc/self/cgroup", groups)
    write(tmp_path / "sys/fs/cgroup/a/b/memory.max", "max\n")
    assert total_bytes(tmp_path) > 10**8
    write(tmp_path / file, limit)
    assert total_bytes(tmp_path) == 1_000_000


def test_what_processes_take_is_seen():
    assert resident_bytes() > 10**6
    assert resident_bytes(2**22 + 1) is None
    assert os.getpid() in family(os.getppid())
