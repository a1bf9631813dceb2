"""Parts are joined to one file from wherever a process that was at it has got to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from running import clean_env


def test_joining_goes_on_from_any_moment_at_which_it_was_killed(tmp_path):
    script = Path(__file__).with_name("joining_crashes.py")
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env=clean_env(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert int(ran.stdout) > 20
