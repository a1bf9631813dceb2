"""Run the program as a user does: a process of its own, with a clean environment."""

from __future__ import annotations

import fcntl
import os
import pickle
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

FNET = [sys.executable, "-m", "fnet_cli"]
SCRIPT = [str(Path(sys.executable).with_name("fnet"))]
_DROPPED = (
    "NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "KERAS_BACKEND", "FNET_PRESET", "FNET_PROJECT",
    "FNET_DEBUG",
    "FNET_OFFLINE", "FNET_TIMEOUT", "FNET_RETRIES", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN",
    "KAGGLE_API_TOKEN", "KAGGLE_API_ENDPOINT", "HF_ENDPOINT",
)  # fmt: skip
# What the developer has pulled is none of the tests' business.
_CACHES = ("KAGGLEHUB_CACHE", "HF_HOME", "FNET_CACHE", "FNET_CONFIG")
_NOWHERE = dict.fromkeys(_CACHES, "/nonexistent/fnet-tests")


def clean_env(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**kept, **_NOWHERE, **(changes or {})}


def run_fnet(
    *arguments: object,
    env: Mapping[str, str] | None = None,
    stdin: str = "",
    cwd: os.PathLike[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FNET, *map(str, arguments)],
        env=clean_env(env),
        input=stdin,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )


def run_shell(command: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess:
    """Run a shell line in which `fnet` is the program."""
    return subprocess.run(
        [
            "bash",
            "-uo",
            "pipefail",
            "-c",
            f'fnet() {{ {sys.executable} -m fnet_cli "$@"; }}; {command}',
        ],
        env=clean_env(env),
        capture_output=True,
        text=True,
        timeout=120,
    )


def on_a_terminal(
    *arguments: object,
    columns: int = 80,
    stderr_only: bool = False,
    cwd: os.PathLike[str] | None = None,
    code: int | None = None,
    **env: str,
) -> str:
    """Return what the program writes to a pseudo-terminal, and require its exit `code`."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(
        [*FNET, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if stderr_only else follower,
        stderr=follower,
        env=clean_env({"TERM": "xterm-256color", **env}),
        cwd=cwd,
    )
    os.close(follower)
    parts = []
    try:
        while part := os.read(leader, 65536):
            parts.append(part)
    except OSError:  # Linux's way of saying that the other end is closed
        pass
    ended = process.wait(60)
    os.close(leader)
    shown = b"".join(parts).decode(errors="replace")
    assert code in (None, ended), shown
    return shown


def run_once(
    factory: pytest.TempPathFactory,
    name: str,
    run: Callable[[Path], subprocess.CompletedProcess[str]],
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Return what `run` returned for a new directory, and the directory.

    A module's fixture is made in every xdist worker that runs one of its tests. The first worker
    runs and the others wait, for an encode takes seconds.
    """
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    directory, record = root / name, root / f"{name}.pickle"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not record.exists():
            directory.mkdir()
            record.write_bytes(pickle.dumps(run(directory)))
        return pickle.loads(record.read_bytes()), directory
