"""A signal stops the program wherever it comes: in an import, in a clean-up, or swallowed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from running import clean_env

from fnet_cli.cli import interrupts

STOPPED = "fnet: interrupted; no file was written\n"
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
# Stands for a native module: a signal while it is imported becomes an ImportError.
NATIVE_IMPORT = """
import os, signal, sys
from fnet_cli.encoding import engine
def load_engine(request):
    os.write(2, b"greetings from native code\\n")
    try:
        os.kill(os.getpid(), signal.SIGTERM)
    except KeyboardInterrupt as error:
        raise ImportError("initialization failed") from error
engine.load_engine = load_engine
from fnet_cli.cli.main import entry_point
sys.argv = ["fnet", "encode", "tokens.jsonl", "-o", "out.jsonl"]
entry_point()
"""
# Sends a signal in the moment in which the named module is about to be imported.
SIGNAL_AT_IMPORT = """
import os, signal, sys
from fnet_cli.cli.main import entry_point
class Sender:
    def find_spec(self, name, path, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGTERM)
sys.meta_path.insert(0, Sender())
sys.argv = ["fnet", "summary"]
entry_point()
"""


def run_python(code: str, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env=clean_env(),
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


@pytest.fixture
def asked(monkeypatch):
    """Let a signal have come whose exception somebody swallowed."""
    monkeypatch.setattr(interrupts, "_asked", True)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_swallowed_signal_is_remembered(name):
    ran = run_python(SWALLOWED.format(name=name))
    assert ran.stdout.split() == ["KeyboardInterrupt", "stopped"]


def test_an_ignored_signal_stays_ignored():
    ran = run_python(
        "import os, signal\n"
        "from fnet_cli.cli.interrupts import install_handlers, stop_if_asked\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "install_handlers(); os.kill(os.getpid(), signal.SIGHUP); stop_if_asked(); print('alive')"
    )
    assert ran.stdout == "alive\n"


def test_a_second_signal_does_not_interrupt_the_clean_up_after_the_first():
    ran = run_python(
        "import os, signal\n"
        "from fnet_cli.cli.interrupts import install_handlers\n"
        "install_handlers()\n"
        "try: os.kill(os.getpid(), signal.SIGINT)\n"
        "finally: os.kill(os.getpid(), signal.SIGTERM); print('cleaned up')\n"
    )
    assert ran.stdout == "cleaned up\n"


def test_an_error_after_a_signal_becomes_the_interruption(asked):
    with pytest.raises(KeyboardInterrupt), interrupts.signals_first():
        raise ImportError("initialization failed")


def test_an_error_without_a_signal_passes():
    with pytest.raises(ImportError, match="no such"), interrupts.signals_first():
        raise ImportError("no such module")


def test_a_signal_in_a_native_import_ends_with_130_and_no_noise(tmp_path):
    (tmp_path / "tokens.jsonl").write_text('{"token_ids": [4]}\n')
    ran = run_python(NATIVE_IMPORT, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", STOPPED)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.jsonl"]


@pytest.mark.parametrize("name", ["typer.main", "fnet_cli.cli.app", "fnet_cli.cli.summary"])
def test_a_signal_while_the_program_itself_is_imported_ends_with_130(name):
    ran = run_python(SIGNAL_AT_IMPORT.format(name=name))
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", STOPPED)
