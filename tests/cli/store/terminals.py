"""The program on a pseudo-terminal, as a person sees it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time
from dataclasses import dataclass

from running import FNET, clean_env
from scene import Scene

COLUMNS = 80
CTRL_C, CTRL_D = "\x03", "\x04"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Seen:
    """How a run ended, all that reached the terminal, and what was left on the screen."""

    code: int
    raw: str

    @property
    def drawn(self) -> list[str]:
        """Every line that was ever drawn, without control sequences."""
        return _CONTROL.sub("", self.raw.replace("\r", "\n")).split("\n")

    @property
    def screen(self) -> list[str]:
        """The lines that are left in the end: a carriage return and an erasure clear a line."""
        lines = [line.split("\x1b[2K")[-1] for line in self.raw.replace("\r\n", "\n").split("\n")]
        plain = [_CONTROL.sub("", line).rpartition("\r")[2] for line in lines]
        return [line.rstrip() for line in plain if line.strip()]


def on_terminal(scene: Scene, *arguments: object, answer: str = "", **env: str) -> Seen:
    """Run the program on a terminal of 80 columns; `answer` is typed when it asks."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [*FNET, *map(str, arguments)],
        env=clean_env({**scene.env, "TERM": "xterm-256color", **env}),
        cwd=scene.root,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    seen, asked = b"", not answer
    with os.fdopen(leader, "r+b", buffering=0) as terminal:
        while data := _read(terminal.fileno()):
            seen += data
            if not asked and b"[y/N]" in seen:
                asked = True
                time.sleep(0.1)  # until it reads
                if answer == CTRL_C:  # the terminal is nobody's, so that it sends no signals
                    process.send_signal(signal.SIGINT)
                else:
                    terminal.write(answer.encode())
    return Seen(process.wait(timeout=60), seen.decode())


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the program has gone
        return b""
