"""Colour and animation are decided for each stream on its own."""

from __future__ import annotations

import io
import os

import pytest
from running import on_a_terminal, run_fnet

from fnet_cli.cli.streams import StreamStyle, native_noise_held, one_line, say, style_of
from fnet_cli.errors import UsageError

PLAIN = StreamStyle(terminal=False, color=False, animation=False)
FULL = StreamStyle(terminal=True, color=True, animation=True)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "style"),
    [
        (Terminal(), {}, FULL),
        (io.StringIO(), {}, PLAIN),
        (Terminal(), {"NO_COLOR": "1"}, StreamStyle(True, False, True)),
        (Terminal(), {"NO_COLOR": ""}, FULL),
        (io.StringIO(), {"FORCE_COLOR": "1"}, StreamStyle(False, True, False)),
        (io.StringIO(), {"FORCE_COLOR": ""}, PLAIN),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, PLAIN),
        (Terminal(), {"TERM": "dumb"}, StreamStyle(True, False, False)),
        (Terminal(), {"TERM": ""}, FULL),
        (Terminal(), {"NO_COLOR": "", "FORCE_COLOR": "", "TERM": "dumb"},
         StreamStyle(True, False, False)),
        (Terminal(), {"NO_COLOR": "1", "FORCE_COLOR": "1"}, StreamStyle(True, False, True)),
        (io.StringIO(), {"TERM": "xterm-256color"}, PLAIN),
        (Terminal(), {"TERM": "dumb", "FORCE_COLOR": "1"}, StreamStyle(True, True, False)),
    ],
)  # fmt: skip
def test_style(stream, environ, style):
    assert style_of(stream, environ) == style


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, with é and 字", "plain, with é and 字"),
        ("two\r\nlines\tand  more", "two lines and more"),
        ("\x1b]0;owned\x07\x9b2J", "\\x1b]0;owned\\x07\\x9b2J"),
        ("caf\udce9 \u202etxt", "caf\\udce9 \\u202etxt"),
        ("", ""),
    ],
)
def test_a_message_is_one_line_that_steers_no_terminal(capsys, text, shown):
    assert one_line(text) == shown
    say(text)
    assert capsys.readouterr().err == f"fnet: {shown}\n"


def test_a_terminal_gets_a_table_with_colour():
    shown = on_a_terminal("summary", "f_net_base_en")
    assert "\x1b[" in shown
    assert "82,861,056" in shown


def test_no_color_leaves_a_table_without_escape_codes_that_fits_80_columns():
    shown = on_a_terminal("summary", "f_net_base_en", NO_COLOR="1")
    assert "82,861,056" in shown
    assert "\x1b" not in shown
    assert max(len(line.rstrip("\r")) for line in shown.split("\n")) <= 80


@pytest.mark.parametrize(
    "command", ["summary f_net_base_en", "summary f_net_base_en --format table", "encode --help"]
)
def test_a_pipe_gets_no_escape_codes_whatever_the_terminal_and_the_ci(command):
    ran = run_fnet(*command.split(), env={"TERM": "xterm-256color", "GITHUB_ACTIONS": "true"})
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "\x1b" not in ran.stdout


def test_force_color_colours_a_table_in_a_pipe_and_never_tsv():
    env = {"FORCE_COLOR": "1"}
    assert "\x1b[1m" in run_fnet("summary", "--format", "table", env=env).stdout
    assert "\x1b" not in run_fnet("summary", env=env).stdout


def test_a_dumb_terminal_gets_no_escape_codes():
    assert "\x1b" not in on_a_terminal("presets", "list", TERM="dumb")


def test_errors_are_coloured_where_only_standard_error_is_a_terminal():
    assert "\x1b[1;31merror:" in on_a_terminal("summary", "nope", stderr_only=True)
    assert "\x1b" not in on_a_terminal("summary", "nope", stderr_only=True, NO_COLOR="1")


# --- What native libraries write ----------------------------------------------------------------


@native_noise_held()
def noisy(text: bytes, error: BaseException | None = None) -> None:
    """Write as native code does, past `sys.stderr`, and fail if asked."""
    os.write(2, text)
    if error is not None:
        raise error


def test_native_noise_is_dropped_where_all_goes_well(capfd):
    noisy(b"greetings\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_native_noise_is_shown_where_it_may_say_why_something_failed(capfd):
    with pytest.raises(RuntimeError):
        noisy(b"no driver\n", RuntimeError())
    assert capfd.readouterr().err == "no driver\n"


def test_native_noise_is_dropped_where_the_error_says_itself_what_is_wrong(capfd):
    with pytest.raises(UsageError):
        noisy(b"greetings\n", UsageError("there is no such device"))
    assert capfd.readouterr().err == ""


def test_native_noise_is_dropped_where_the_user_interrupts(capfd):
    with pytest.raises(KeyboardInterrupt):
        noisy(b"greetings\n", KeyboardInterrupt())
    assert capfd.readouterr().err == ""
