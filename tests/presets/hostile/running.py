"""Run the program on one hostile thing, and see what it did to the machine."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from presets.hostile.cases import CANARY, CANARY_CODE, CANARY_MODULE

REPOSITORY = Path(__file__).parents[3]
SECRET = "root:x:canary-secret"
MEMORY_BYTES = 500_000_000
# The peak of a process that is started from this one would be at least this one's own, so that
# a small process stands in between. It also ends a program that waits for ever.
_LAUNCHER = """
import json, os, signal, subprocess, sys
program = subprocess.Popen(json.loads(sys.argv[1]), stdin=subprocess.DEVNULL)
signal.signal(signal.SIGALRM, lambda *_: program.kill())
signal.alarm(60)
_, status, usage = os.wait4(program.pid, 0)
with open(sys.argv[2], "w") as report:
    json.dump([os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024], report)
"""


@dataclass(frozen=True)
class Run:
    """What a program did; `changed` are the files it left otherwise than it found them."""

    code: int
    output: str
    errors: list[str]
    memory: int
    changed: list[str]


class Machine:
    """A directory that is all the program knows: home, caches, temporary files, and a secret."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.case = root / "case"
        for name in ("home", "tmp", "outside", "path"):
            (root / name).mkdir(parents=True)
        (root / "outside" / "secret.txt").write_text(SECRET)
        (root / "path" / f"{CANARY_MODULE}.py").write_text(CANARY_CODE)

    def run(self, *arguments: object) -> Run:
        """Run `fnet` with these arguments."""
        before = self._files()
        report = self.root.parent / f"{self.root.name}.json"
        command = [sys.executable, "-m", "fnet_cli", *map(str, arguments)]
        ran = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _LAUNCHER, json.dumps(command), str(report)],
            cwd=self.root / "home",
            env=self._environment(),
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=90,
        )
        code, memory = json.loads(report.read_text())
        after = self._files()
        changed = sorted(
            name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
        )
        return Run(code, ran.stdout, ran.stderr.splitlines(), memory, changed)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.root / "home"),
            "TMPDIR": str(self.root / "tmp"),
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(self.root / "path")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            CANARY: str(self.root / "ran"),
        }

    def _files(self) -> dict[str, object]:
        """Return all that is not a directory, by name, with enough to tell any change."""
        found: dict[str, object] = {}
        for directory, _, names in os.walk(self.root):
            for name in names:
                path = Path(directory, name)
                state = path.lstat()
                content = ""
                if stat.S_ISLNK(state.st_mode):
                    content = str(path.readlink())
                elif stat.S_ISREG(state.st_mode) and state.st_size < 10**8:
                    content = hashlib.sha256(path.read_bytes()).hexdigest()
                key = path.relative_to(self.root).as_posix()
                found[key] = (state.st_mode, state.st_size, state.st_mtime_ns, content)
        return found
