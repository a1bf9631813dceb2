"""Running the probe: what it found out before it ended, and how it ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fnet_cli.checkup.world import World

_PROBE = Path(__file__).with_name("probe.py")
_POLL_SECONDS = 0.05
_QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2"}


def probe(names: Sequence[str], world: World) -> dict[str, dict[str, Any]]:
    """Return for each name what the probe says of it: `error`, or what was found.

    A name that takes the process down, or does not end in time, has that as its error, and those
    behind it are tried in another process.
    """
    results: dict[str, dict[str, Any]] = {}
    waiting = list(names)
    while waiting:
        records, end = _run(waiting, world)
        for record in records:
            if record["state"] == "begun":
                results[record["name"]] = {"error": end}
            else:
                results[record["name"]] = record
        left = [name for name in waiting if name not in results]
        if len(left) == len(waiting):  # it did not even start
            return {**results, **{name: {"error": end} for name in left}}
        waiting = left
    return results


def _run(names: Sequence[str], world: World) -> tuple[list[dict[str, Any]], str]:
    """Run the probe once; return the lines it has written, and how it ended.

    What it prints is dropped, and through no pipe: a process that it leaves behind could hold one
    open for ever.
    """
    with tempfile.TemporaryDirectory(prefix="fnet-doctor-") as directory:
        lines = Path(directory) / "lines"
        lines.touch()
        # -P: not what happens to lie beside the probe.
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and a file of this package
            [world.python, "-P", str(_PROBE), *names],
            env={**_QUIET, **world.environ, "PROBE_LINES": str(lines)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            end = _wait(process, world.seconds)
        finally:
            _kill(process)
        return [json.loads(line) for line in lines.read_text("utf-8").splitlines()], end


def _wait(process: subprocess.Popen[bytes], seconds: float) -> str:
    """Wait for the end of a process, as long as it may take, and say what it was."""
    until = time.monotonic() + seconds
    while (code := process.poll()) is None:
        if time.monotonic() > until:
            return f"it did not answer within {seconds:g} s"
        time.sleep(_POLL_SECONDS)
    if code >= 0:
        return f"the process ended with code {code}"
    try:
        return f"it ended the process ({signal.Signals(-code).name})"
    except ValueError:
        return f"it ended the process (signal {-code})"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the process and what it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
