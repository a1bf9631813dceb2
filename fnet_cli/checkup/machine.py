"""The processor and the memory, the machine's and what of it this process may use."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from pathlib import Path

from fnet_cli.checkup.findings import Finding, Verdict
from fnet_cli.checkup.world import World
from fnet_cli.processor import read_processor
from fnet_cli.units import show_bytes, show_count

# By Linux' names; the first that is there is the best that it has.
_FEATURES = {
    "amx_bf16": "AMX", "avx512f": "AVX-512", "avx512_bf16": "AVX-512 BF16",
    "avx512_vnni": "AVX-512 VNNI", "avx2": "AVX2", "fma": "FMA", "avx": "AVX",
}  # fmt: skip
# A backend that has started takes half a gigabyte, and the large preset as much again and more.
_LITTLE_MEMORY = 2_000_000_000
_TOO_LITTLE_MEMORY = 800_000_000
# Version 1 of cgroups writes a number near 2**63 for "no limit".
_NO_LIMIT = 2**60


def check_processor(world: World) -> Iterator[Finding]:
    """Tell the processor, its features that speed matters on, and how many cores may be used."""
    processor = read_processor(world.root / "proc/cpuinfo")
    machine = platform.machine()
    has = processor.features or frozenset()
    features = [name for flag, name in _FEATURES.items() if flag in has]
    cores, quota = _usable_cores(), _cpu_quota(world)
    name = processor.name or platform.processor() or machine
    found = f"{name}, {show_count(cores, 'core')}"
    found += f" of which {quota:g} are allowed" if quota is not None and quota < cores else ""
    found += f": {', '.join(features)}" if features else ""
    details = {
        "name": name, "machine": machine, "cores": cores, "quota": quota,
        "features": features, "known": bool(has),
    }  # fmt: skip
    verdict, hint = Verdict.OK, ""
    if has and machine in ("x86_64", "AMD64"):
        if "avx" not in has:
            verdict, hint = Verdict.WARNING, "TensorFlow's builds need AVX: does the backend start?"
        elif "avx512f" not in has:
            verdict, hint = Verdict.NOTE, "without AVX-512: fnet bench says how fast it is"
    if quota is not None and quota < cores:
        verdict = max(verdict, Verdict.NOTE, key=tuple(Verdict).index)
        hint = hint or f"fewer threads lose less: taskset -c 0-{max(0, int(quota) - 1)} fnet ..."
    yield Finding("processor", verdict, found, hint, details)


def check_memory(world: World) -> Iterator[Finding]:
    """Tell the memory of the machine, what is free of it, and the limits of this process."""
    total, free = _meminfo(world, "MemTotal"), _meminfo(world, "MemAvailable")
    limit, used = _cgroup_memory(world)
    address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
    limits = [limit, None if address_space == resource.RLIM_INFINITY else address_space]
    details = {
        "total": total, "available": free, "cgroup_limit": limit, "cgroup_used": used,
        "address_space_limit": limits[1],
    }  # fmt: skip
    if total is None or free is None:
        yield Finding("memory", Verdict.NOTE, "the system does not say", details=details)
        return
    usable = free
    found = f"{show_bytes(free)} free of {show_bytes(total)}"
    if limit is not None and limit < total:
        usable = min(usable, limit - (used or 0))
        found += f"; the cgroup allows {show_bytes(limit)}, {show_bytes(max(usable, 0))} of it free"
    if limits[1] is not None:
        usable = min(usable, limits[1])
        found += f"; the process may have {show_bytes(limits[1])} (ulimit -v)"
    if usable < _TOO_LITTLE_MEMORY:
        hint = "a backend alone takes half a gigabyte: end other programs, or raise the limit"
        yield Finding("memory", Verdict.WARNING, found, hint, details)
    elif usable < _LITTLE_MEMORY:
        hint = "enough for the small presets; the large one needs 2 GB and more"
        yield Finding("memory", Verdict.NOTE, found, hint, details)
    else:
        yield Finding("memory", Verdict.OK, found, details=details)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _meminfo(world: World, key: str) -> int | None:
    for line in _text(world.root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == key and rest.split()[:1] and rest.split()[0].isdigit():
            return int(rest.split()[0]) * 1024
    return None


def _cgroup_memory(world: World) -> tuple[int | None, int | None]:
    """Return the tightest limit of the cgroups that this process is in, and what is used of it."""
    tightest: tuple[int | None, int | None] = None, None
    for limit_file, used_file in (
        ("memory.max", "memory.current"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        for directory in _cgroups(world, "memory"):
            limit = _number(directory / limit_file)
            if limit is not None and limit < min(tightest[0] or _NO_LIMIT, _NO_LIMIT):
                tightest = limit, _number(directory / used_file)
    return tightest


def _cpu_quota(world: World) -> float | None:
    """Return how many cores' time the cgroups allow, None without a limit."""
    quotas = []
    for directory in _cgroups(world, "cpu"):
        words = _text(directory / "cpu.max").split()
        if not words:
            words = [
                _text(directory / "cpu.cfs_quota_us").strip(),
                _text(directory / "cpu.cfs_period_us").strip(),
            ]
        if len(words) == 2 and all(word.isdigit() for word in words) and int(words[1]):
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _cgroups(world: World, controller: str) -> Iterator[Path]:
    """Yield the directories of this process's cgroups, of both versions, up to the root."""
    mount = world.root / "sys/fs/cgroup"
    for line in _text(world.root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        base = mount / controller if names else mount
        # In a container the path may be one that only its host can see; the root is what it has.
        place = base / path.strip().lstrip("/")
        while place != base and place.is_relative_to(base):
            yield place
            place = place.parent
        yield base


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
