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
# Stands for the import of native modules, which a signal must not interrupt.
LOADING = """
import os, signal, sys
from pathlib import Path
from fnet_cli.encoding.engine import loading as engine
def load_engine(request):
    os.write(2, b"greetings from native code\\n")
    os.kill(os.getpid(), signal.SIGTERM)
    Path("loaded").touch()
    {end}
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


FIRST = "os.kill(os.getpid(), signal.SIGINT)"
FIRST_WHILE_HELD = "with interrupts.signals_held(): os.kill(os.getpid(), signal.SIGINT); sleep(0.4)"


@pytest.mark.parametrize("first", [FIRST, FIRST_WHILE_HELD], ids=["at-once", "held"])
@pytest.mark.parametrize(
    ("wait", "shown"), [(0, "cleaned up\n"), (0.4, "")], ids=["at-once", "later"]
)
def test_a_second_signal_interrupts_no_clean_up_and_gets_through_later(first, wait, shown):
    ran = run_python(
        "import os, signal\n"
        "from time import sleep\n"
        "from fnet_cli.cli import interrupts\n"
        "interrupts._CLEAN_UP_SECONDS = 0.3\n"
        "interrupts.install_handlers()\n"
        f"try:\n    {first}\n"
        f"finally: sleep({wait}); os.kill(os.getpid(), signal.SIGTERM); print('cleaned up')\n"
    )
    assert ran.stdout == shown


def test_an_error_after_a_signal_becomes_the_interruption(asked):
    with pytest.raises(KeyboardInterrupt), interrupts.signals_first():
        raise ImportError("initialization failed")


def test_a_signal_waits_for_the_end_of_what_holds_it():
    ran = run_python(
        "import os, signal\n"
        "from fnet_cli.cli.interrupts import install_handlers, signals_held\n"
        "install_handlers()\n"
        "try:\n"
        "    with signals_held(): os.kill(os.getpid(), signal.SIGINT); print('whole')\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    assert ran.stdout.split() == ["whole", "stopped"]


def test_an_error_without_a_signal_passes():
    with pytest.raises(ImportError, match="no such"), interrupts.signals_first():
        raise ImportError("no such module")


@pytest.mark.parametrize("end", ["return None", "raise ImportError('initialization failed')"])
def test_a_signal_while_the_model_is_loaded_waits_for_its_end(tmp_path, end):
    (tmp_path / "tokens.jsonl").write_text('{"token_ids": [4]}\n')
    ran = run_python(LOADING.format(end=end), cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", STOPPED)
    assert {path.name for path in tmp_path.iterdir()} == {"tokens.jsonl", "loaded"}


@pytest.mark.parametrize("name", ["typer.main", "fnet_cli.cli.app", "fnet_cli.cli.summary"])
def test_a_signal_while_the_program_itself_is_imported_ends_with_130(name):
    ran = run_python(SIGNAL_AT_IMPORT.format(name=name))
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", "fnet: interrupted\n")


def test_asking_again_gets_through_a_load_that_hangs():
    ran = run_python(
        "import os, signal, time\n"
        "from fnet_cli.cli import interrupts\n"
        "interrupts._CLEAN_UP_SECONDS = 0.3\n"
        "interrupts.install_handlers()\n"
        "try:\n"
        "    with interrupts.signals_held():\n"
        "        for wait in (0, 0.2, 0.2):\n"
        "            time.sleep(wait); os.kill(os.getpid(), signal.SIGINT); print(wait)\n"
        "        print('never')\n"
        "except KeyboardInterrupt: print('stopped')\n"
    )
    # The second comes too soon; that it came does not put off the third.
    assert ran.stdout.split() == ["0", "0.2", "stopped"]
