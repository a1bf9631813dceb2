"""Run the program as a user does: a process of its own, with a clean environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

FNET = [sys.executable, "-m", "fnet_cli"]
_DROPPED = ("NO_COLOR", "FORCE_COLOR", "TERM", "FNET_PRESET", "KERAS_BACKEND", "COLUMNS")


def clean_env(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _DROPPED}
    return {**kept, **(changes or {})}


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
