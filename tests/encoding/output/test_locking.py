"""One process at a time is at an output, and one that died is in nobody's way."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from running import clean_env

from fnet_cli.encoding.output.locking import alone
from fnet_cli.errors import OutputError


def test_a_job_begins_whatever_moment_of_beginning_another_was_killed_at(tmp_path):
    script = Path(__file__).with_name("beginning_crashes.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=clean_env(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert all(int(moments) > 50 for moments in ran.stdout.split())


def test_a_holder_who_is_waited_for_has_time_to_end(tmp_path):
    held, ended = threading.Event(), []

    def hold() -> None:
        with alone(tmp_path / "lock", "out"):
            held.set()
            time.sleep(0.5)
            ended.append(True)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    with alone(tmp_path / "lock", "out", patience=30):
        assert ended
    thread.join()


def test_a_holder_who_does_not_end_in_time_is_named(tmp_path):
    with (
        alone(tmp_path / "lock", "out"),
        pytest.raises(OutputError, match="out is being written by process"),
        alone(tmp_path / "lock", "out", patience=0.2),
    ):
        pass
