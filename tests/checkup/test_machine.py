"""Memory, processor and directories, as the system's own files tell them."""

from __future__ import annotations

import errno
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from worlds import GIB, told, world_in, write_files

from fnet_cli.checkup import machine, places
from fnet_cli.checkup.machine import check_memory, check_processor
from fnet_cli.checkup.places import check_caches, check_settings, check_temporary
from fnet_cli.errors import UsageError

MEMINFO = {"proc/meminfo": f"MemTotal: {64 * 2**20} kB\nMemAvailable: {48 * 2**20} kB\n"}


def memory_of(root: Path, **files: str):
    write_files(root, {**MEMINFO, **files})
    (finding,) = check_memory(world_in(root))
    return finding


def test_memory_without_a_limit(tmp_path):
    found = memory_of(tmp_path)
    assert (found.verdict, found.found) == ("ok", "51.5 GB free of 68.7 GB")
    assert found.details["cgroup_limit"] is None


@pytest.mark.parametrize(
    ("group", "files"),
    [
        ("0::/job/step", {"job/memory.max": str(GIB), "job/memory.current": str(GIB // 4),
                          "job/step/memory.max": "max"}),
        # In a container the path is the host's, and the limit is at the root.
        ("0::/docker/abc", {"memory.max": str(GIB), "memory.current": str(GIB // 4)}),
        ("4:memory:/job", {"memory/memory.limit_in_bytes": "9223372036854771712",
                           "memory/job/memory.limit_in_bytes": str(GIB),
                           "memory/job/memory.usage_in_bytes": str(GIB // 4)}),
    ],
)  # fmt: skip
def test_a_cgroup_that_allows_less_than_the_machine_has_counts(tmp_path, group, files):
    placed = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    found = memory_of(tmp_path, **{"proc/self/cgroup": f"{group}\n"}, **placed)
    assert found.found.endswith("the cgroup allows 1.1 GB, 805.3 MB of it free")
    assert (found.verdict, found.details["cgroup_limit"]) == ("note", GIB)


def test_too_little_memory_is_a_warning(tmp_path):
    write_files(tmp_path, {"proc/meminfo": "MemTotal: 1000000 kB\nMemAvailable: 300000 kB\n"})
    (found,) = check_memory(world_in(tmp_path))
    assert (found.verdict, found.found) == ("warning", "307.2 MB free of 1.0 GB")


def test_a_system_that_says_nothing_is_a_note(tmp_path):
    assert [*told(check_memory(world_in(tmp_path)))] == [("note", "the system does not say")]


@pytest.mark.parametrize(
    ("flags", "verdict", "features"),
    [
        ("avx avx2 fma avx512f amx_bf16", "ok", ["AMX", "AVX-512", "AVX2", "FMA", "AVX"]),
        ("avx avx2 fma", "note", ["AVX2", "FMA", "AVX"]),
        ("sse2", "warning", []),
    ],
)
def test_the_features_of_the_processor(tmp_path, monkeypatch, flags, verdict, features):
    monkeypatch.setattr(machine.platform, "machine", lambda: "x86_64")
    write_files(tmp_path, {"proc/cpuinfo": f"model name : Fast One\nflags : {flags}\n"})
    (found,) = check_processor(world_in(tmp_path))
    assert (found.verdict, found.details["features"]) == (verdict, features)
    assert found.found.startswith("Fast One, ")


def test_a_quota_of_processor_time_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_usable_cores", lambda: 8)
    write_files(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000"})
    (found,) = check_processor(world_in(tmp_path))
    assert "8 cores of which 1.5 are allowed" in found.found
    assert found.details["quota"] == 1.5


# --- Directories --------------------------------------------------------------------------------


def caches_of(world):
    return {finding.details["cache"]: finding for finding in check_caches(world)}


def test_a_cache_is_counted_and_nothing_is_left_in_it(tmp_path):
    write_files(tmp_path, {"home/kaggle/models/a": "x" * 1234})
    found = caches_of(world_in(tmp_path))
    assert found["Kaggle"].details["used"] == 1234
    assert found["Kaggle"].found.startswith("Kaggle: ~/kaggle, 1.2 kB in it, ")
    assert "not there yet" in found["mirrors"].found
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["kaggle"]


def test_a_cache_that_cannot_be_written_to_is_a_warning_that_names_the_variable(
    tmp_path, monkeypatch
):
    # Root may write anywhere, and a file server may refuse it all the same.
    def refuse(**_):
        raise PermissionError(errno.EACCES, "no")

    write_files(tmp_path, {"home/hub/file": ""})
    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    found = caches_of(world_in(tmp_path))["Hugging Face"]
    assert (found.verdict, "not writable" in found.found) == ("warning", True)
    assert "HF_HUB_CACHE" in found.hint


@pytest.mark.parametrize(
    ("free", "verdict"), [(5_000_000, "warning"), (500_000_000, "note"), (5_000_000_000, "ok")]
)
def test_space_is_judged_by_what_a_preset_takes(tmp_path, monkeypatch, free, verdict):
    monkeypatch.setattr(places.shutil, "disk_usage", lambda _: type("Usage", (), {"free": free}))
    assert caches_of(world_in(tmp_path))["mirrors"].verdict == verdict


@pytest.mark.parametrize("kind", ["nfs4", "tmpfs"])
def test_a_filesystem_that_matters_is_told(tmp_path, kind):
    (tmp_path / "home/a b").mkdir(parents=True)
    mount = str(tmp_path / "home/a b").replace(" ", r"\040")
    mounts = f"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / {mount} rw - {kind} x rw\n"
    write_files(tmp_path, {"proc/self/mountinfo": mounts})
    world = world_in(tmp_path)
    world = replace(world, settings=replace(world.settings, own_cache=tmp_path / "home/a b/fnet"))
    found = caches_of(world)
    assert (found["mirrors"].verdict, found["mirrors"].details["filesystem"]) == ("note", kind)
    assert found["Kaggle"].details["filesystem"] == "ext4"


def test_nowhere_to_put_temporary_files_is_a_problem(tmp_path, monkeypatch):
    def refuse():
        raise FileNotFoundError

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    (found,) = check_temporary(world_in(tmp_path))
    assert (found.verdict, "TMPDIR" in found.hint) == ("problem", True)


def test_settings_that_cannot_be_read_are_a_problem(tmp_path):
    error = UsageError("FNET_RETRIES is 'x'", hint="use a whole number, 0 or more")
    (found,) = check_settings(world_in(tmp_path, settings_error=error))
    assert (found.verdict, found.found, found.hint) == ("problem", str(error), error.hint)
