"""Directories that fnet writes to, and the config file: there, writable, large enough, lasting."""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from fnet_cli.checkup.findings import Finding, Verdict, shown_path
from fnet_cli.checkup.world import World
from fnet_cli.units import show_bytes

_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "lustre", "gpfs", "ceph", "afs", "beegfs")
_IN_MEMORY = ("tmpfs", "ramfs")
# The base preset takes 331 MB and the large one 951 MB.
_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 10_000_000
_COUNTING_SECONDS = 2.0
_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Place:
    """What a directory is like; `used` is None where it was not counted to the end."""

    path: Path
    exists: bool
    writable: bool
    free: int
    used: int | None
    kind: str

    def told(self, home: Path) -> str:
        """Return it in words."""
        state = "" if self.exists else ", not there yet"
        state += "" if self.writable else ", not writable"
        used = "" if not self.exists or self.used is None else f", {show_bytes(self.used)} in it"
        kind = f" ({self.kind})" if self.kind else ""
        return f"{shown_path(self.path, home)}{kind}{state}{used}, {show_bytes(self.free)} free"


def check_settings(world: World) -> Iterator[Finding]:
    """Tell the config file and the default preset, or why the settings cannot be read."""
    error = world.settings_error
    if error is not None:
        yield Finding("settings", Verdict.PROBLEM, str(error), error.hint)
        return
    settings = world.settings
    details = {
        "config_file": shown_path(settings.config_file, world.home),
        "project_file": shown_path(world.project, world.home) if world.project else None,
        "default_preset": settings.default_preset,
        "offline": settings.offline,
    }
    state = "" if settings.config_file.exists() else " (not there, and not needed)"
    found = f"{details['config_file']}{state}, default preset {settings.default_preset}"
    found += f", and the project's {details['project_file']}" if world.project else ""
    found += ", offline" if settings.offline else ""
    yield Finding("settings", Verdict.OK, found, details=details)


def check_caches(world: World) -> Iterator[Finding]:
    """Look at the directories that presets are kept in."""
    settings = world.settings
    caches = {
        "Kaggle": (settings.kaggle_cache, "KAGGLEHUB_CACHE"),
        "Hugging Face": (settings.huggingface_cache, "HF_HUB_CACHE"),
        "mirrors": (settings.own_cache, "FNET_CACHE"),
    }
    for name, (path, variable) in caches.items():
        place = look_at(path, world, counted=True)
        verdict, hint = _judged(place, variable)
        yield Finding(
            "caches", verdict, f"{name}: {place.told(world.home)}", hint,
            {"cache": name, **_details(place, world)},
        )  # fmt: skip


def check_temporary(world: World) -> Iterator[Finding]:
    """Look at the directory for temporary files, which parts for object stores grow in."""
    try:
        path = Path(tempfile.gettempdir())
    except FileNotFoundError:
        found = "no directory for temporary files is writable"
        yield Finding("temporary", Verdict.PROBLEM, found, "set TMPDIR to one that is")
        return
    place = look_at(path, world, counted=False)
    verdict, hint = _judged(place, "TMPDIR")
    if verdict in (Verdict.OK, Verdict.NOTE) and place.kind in _IN_MEMORY:
        verdict = Verdict.NOTE
        hint = "it is in memory: for outputs in object stores set TMPDIR to a disk"
    found = place.told(world.home)
    yield Finding("temporary", verdict, found, hint, _details(place, world))


def look_at(path: Path, world: World, *, counted: bool) -> Place:
    """Look at a directory, or where it would be made, and leave nothing there."""
    there = next(parent for parent in (path, *path.parents) if _exists(parent))
    exists = there == path
    try:
        free = shutil.disk_usage(there).free
    except OSError:
        free = 0
    return Place(
        path=path,
        exists=exists,
        writable=there.is_dir() and (_can_write(there) if exists else os.access(there, os.W_OK)),
        free=free,
        used=_used(path) if exists and counted else None,
        kind=_kind(there, world),
    )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # behind a directory that may not be looked into
        return False


def _can_write(directory: Path) -> bool:
    """Whether a file can be made there: a file server may refuse what the mode allows."""
    try:
        with tempfile.TemporaryFile(dir=directory, prefix=".fnet-doctor-"):
            return True
    except OSError:
        return False


def _judged(place: Place, variable: str) -> tuple[Verdict, str]:
    if not place.writable:
        return Verdict.WARNING, f"nothing can be kept there: set {variable} to a directory of yours"
    if place.free < _NO_SPACE:
        return Verdict.WARNING, f"the disk is full: make room, or set {variable} to another"
    if place.free < _LITTLE_SPACE:
        return Verdict.NOTE, "the large preset needs 1 GB: fnet presets prune makes room"
    if place.kind in _IN_MEMORY:
        return Verdict.NOTE, f"it is in memory, and gone when the machine restarts ({variable})"
    if place.kind in _NETWORK:
        return Verdict.NOTE, "on the network: several machines may share it; it may be slow"
    return Verdict.OK, ""


def _details(place: Place, world: World) -> dict[str, object]:
    return {
        "path": shown_path(place.path, world.home), "exists": place.exists,
        "writable": place.writable, "free": place.free, "used": place.used,
        "filesystem": place.kind,
    }  # fmt: skip


def _used(directory: Path, clock: Callable[[], float] = time.monotonic) -> int | None:
    """Return the bytes of the files under a directory, None where counting takes too long."""
    until, total, waiting = clock() + _COUNTING_SECONDS, 0, [directory]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(Path(entry.path))
                    else:
                        info = entry.stat(follow_symlinks=False)
                        total += info.st_size if stat.S_ISREG(info.st_mode) else 0
        except OSError:
            continue
        if clock() > until:
            return None
    return total


def _kind(path: Path, world: World) -> str:
    """Return the kind of filesystem that a path is on, empty where the system does not say."""
    try:
        text = (world.root / "proc/self/mountinfo").read_text("utf-8", "surrogateescape")
        path = path.resolve()
    except OSError:
        return ""
    kinds = {Path("/"): ""}
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) > 4 and after:
            # A later mount at the same place hides the earlier one.
            mount = _OCTAL.sub(lambda found: chr(int(found[1], 8)), words[4])
            kinds[Path(mount)] = after.split()[0]
    return kinds[next(parent for parent in (path, *path.parents) if parent in kinds)]
