"""A signal stops the program also where somebody swallowed its exception."""

from __future__ import annotations

import subprocess
import sys

import pytest

SWALLOWED = """
import os, signal
from fnet_cli.cli.interrupts import install_handlers, stop_if_asked
install_handlers()
stop_if_asked()
try:
    os.kill(os.getpid(), signal.{name})
except BaseException as error:
    print(type(error).__name__)
try:
    stop_if_asked()
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_swallowed_signal_is_remembered(name):
    code = SWALLOWED.format(name=name)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.split() == ["KeyboardInterrupt", "stopped"]


def test_an_ignored_signal_stays_ignored():
    code = (
        "import os, signal\n"
        "from fnet_cli.cli.interrupts import install_handlers, stop_if_asked\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "install_handlers(); os.kill(os.getpid(), signal.SIGHUP); stop_if_asked(); print('alive')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "alive\n"
