"""The program's outermost layer: signals, error rendering, exit codes."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from fnet_cli.cli.guarding import allow_guards
from fnet_cli.cli.interrupts import install_handlers, signals_first
from fnet_cli.cli.shells import answered, is_completing
from fnet_cli.cli.streams import printable, say, style_of
from fnet_cli.errors import ExitCode, FnetError, NetworkError, OutOfMemoryError, StoppedError

# What a device answers when it takes no more; the files of a job have OutputError for it.
_DEVICE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ON = ("1", "true", "yes", "on")
_RED, _DIM, _RESET = "\x1b[1;31m", "\x1b[2m", "\x1b[0m"


def entry_point() -> NoReturn:
    """Run `fnet` with the process's arguments and end with the documented exit code."""
    _open_missing_streams()
    _print_any_name()
    _keep_keras_out_of_the_home()
    install_handlers()
    if is_completing(os.environ):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # it would stand in the line being typed
    allow_guards()
    code = main(sys.argv[1:])
    # Native threads of TensorFlow can crash while the interpreter is torn down, long after
    # everything has been written and closed.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main(arguments: Sequence[str]) -> int:
    """Run `fnet` with `arguments` and return its exit code.

    Expected failures become one line (and a hint) on standard error. An unexpected one passes,
    with its traceback, and ends the process with 1.
    """
    _calm_typer()
    stdout, stopped = _duplicate_stdout(), ""
    try:
        with signals_first():
            code = _asked(arguments) if is_completing(os.environ) else _run(arguments)
    except StoppedError as error:
        stopped, code = str(error), error.exit_code
    except (FnetError, MemoryError) as raised:
        expected = raised if isinstance(raised, FnetError) else _of_memory(raised)
        _render(str(expected), expected.advice)
        _trace(expected)
        code = expected.exit_code
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        # Typer and rich end with 1 when the reader of a pipe has gone. That is how `| head`
        # ends every program, and no failure.
        if code == ExitCode.UNEXPECTED and _reader_gone(stdout):
            code = ExitCode.DONE
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except OSError as error:
        code = _stdout_refused(error)
    if code == ExitCode.INTERRUPTED:
        _line(stopped or _interrupted(arguments))
    return int(_settle_stdout() or code)


def _of_memory(error: MemoryError) -> OutOfMemoryError:
    """Say what the system's refusal of memory means, wherever it was met."""
    expected = OutOfMemoryError("memory ran out")
    expected.__cause__ = error
    return expected


def _interrupted(arguments: Sequence[str]) -> str:
    """Say what an interrupted command has left behind."""
    if list(arguments[:1]) in (["encode"], ["tokenize"]):
        return "interrupted; no file was written"
    if list(arguments[:2]) == ["presets", "pull"]:
        return "interrupted; what has been fetched is kept, and the same command goes on from there"
    return "interrupted"


def _asked(arguments: Sequence[str]) -> int:
    """Answer a shell that completes a line."""
    return answered(lambda: _run(arguments), os.environ)


def _run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code; a wrong command line is one line and 2."""
    # Here, not in `main`: a signal may come while they are imported.
    from typer.exceptions import TyperException
    from typer.main import get_command

    from fnet_cli.cli.app import app

    try:
        # Not standalone: Typer would draw a box around a usage error, several lines in a log.
        ended = get_command(app).main(args=list(arguments), prog_name="fnet", standalone_mode=False)
    except TyperException as error:
        command = getattr(getattr(error, "ctx", None), "command_path", "fnet")
        # Without a message, Typer has just printed the help that was missing.
        if error.format_message():
            _render(error.format_message(), f"{command} --help tells more")
        return ExitCode.USAGE
    return ended if isinstance(ended, int) else ExitCode.DONE


def _open_missing_streams() -> None:
    """Give a program started without some of its streams, as daemons do, empty ones instead."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # Open for the life of the process.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _print_any_name() -> None:
    """Escape what standard output cannot encode: a file's name may be no text in any encoding."""
    if not isinstance(sys.stdout, io.TextIOWrapper):
        return
    if sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # as standard error does
    elif sys.stdout.errors == "surrogateescape":  # the locale C, whose names are bytes
        codecs.register_error("fnet", _bytes_or_escape)
        sys.stdout.reconfigure(errors="fnet")


def _bytes_or_escape(error: UnicodeError) -> tuple[bytes, int]:
    """Return the bytes of a name that was no text, and an escape for all else."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    parts = (
        bytes([ord(character) - 0xDC00])
        if 0xDC80 <= ord(character) <= 0xDCFF
        else character.encode("ascii", "backslashreplace")
        for character in error.object[error.start : error.end]
    )
    return b"".join(parts), error.end


def _keep_keras_out_of_the_home() -> None:
    """Let Keras write no settings into a home that has none of it, as it does when imported.

    In a directory that cannot be made it writes nothing. Settings that are there hold.
    """
    if not Path(os.path.expanduser("~/.keras")).exists():  # noqa: PTH111 - pathlib's raises
        os.environ.setdefault("KERAS_HOME", f"{os.devnull}/keras")


def _render(message: str, hint: str) -> None:
    _line(message, label="error: ")
    if hint:
        _line(hint, label="hint: ")


def _trace(error: FnetError) -> None:
    """Write, where FNET_DEBUG asks for it, which page tells of an error and how it came about.

    Under an error of a network only our own words are shown: a client's may quote a request's
    headers, and a signed address is as good as a password.
    """
    if os.environ.get("FNET_DEBUG", "").lower() not in _ON:
        return
    _line(f"docs/{error.docs_anchor()}", label="docs: ")
    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__ or _context(chain[-1])) and cause not in chain:
        chain.append(cause)
    for one in reversed(chain):
        ours = type(one).__module__.partition(".")[0] == __name__.partition(".")[0]
        silent = isinstance(error, NetworkError) and not ours
        told = [f"{type(one).__name__}\n"] if silent else traceback.format_exception_only(one)
        frames = ["Traceback (most recent call last):\n", *traceback.format_tb(one.__traceback__)]
        lines = "".join([*frames, *told]).splitlines()
        with suppress(OSError):  # closed or full: it stops nothing
            sys.stderr.write("".join(f"{printable(line)}\n" for line in lines))


def _context(error: BaseException) -> BaseException | None:
    return None if error.__suppress_context__ else error.__context__


def _line(text: str, label: str = "") -> None:
    """Write one line to standard error, its label in colour where that is allowed."""
    color = style_of(sys.stderr, os.environ).color
    tint = _RED if label.startswith("error") else _DIM
    say(text, f"{tint}{label}{_RESET}" if color and label else label)


def _duplicate_stdout() -> int | None:
    """Return a second descriptor of standard output: rich replaces the first when it breaks."""
    try:
        return os.dup(1)
    except OSError:
        return None


def _reader_gone(stdout: int | None) -> bool:
    """Whether standard output is a pipe that nobody reads any more."""
    if stdout is None:
        return False
    poll = select.poll()
    poll.register(stdout, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _settle_stdout() -> int:
    """Flush, and return the exit code of a device that refuses what was still to be written."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _discard_stdout()
    except OSError as error:
        return _stdout_refused(error)
    return ExitCode.DONE


def _stdout_refused(error: OSError) -> int:
    """Render that the device written to is full; any other error is unexpected and passes."""
    if error.errno not in _DEVICE_ERRORS:
        raise error
    _discard_stdout()
    _line(f"cannot write: {os.strerror(error.errno)}", label="error: ")
    return ExitCode.OUTPUT


def _discard_stdout() -> None:
    """Keep the interpreter from complaining, at exit, about what nobody takes any more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _calm_typer() -> None:
    """Keep Typer's help plain in a pipe also where it would force colour, as under CI."""
    if not os.environ.get("FORCE_COLOR") and not sys.stdout.isatty():
        os.environ.setdefault("_TYPER_FORCE_DISABLE_TERMINAL", "1")
