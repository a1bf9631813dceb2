"""How each stream is written to: decided for standard output and standard error on their own."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

from fnet_cli.errors import FnetError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import BarColumn

# Wide enough that no table wraps: where no terminal limits the width, nothing else does.
_UNLIMITED_WIDTH = 10_000


@dataclass(frozen=True)
class StreamStyle:
    """What may be done on a stream: colour it, animate it; and whether it is a terminal."""

    terminal: bool
    color: bool
    animation: bool


def style_of(stream: TextIO, environ: Mapping[str, str]) -> StreamStyle:
    """Decide from the stream and NO_COLOR, FORCE_COLOR and TERM; empty values count as unset.

    NO_COLOR wins over FORCE_COLOR. FORCE_COLOR colours a pipe, and never animates it.
    """
    terminal = stream.isatty()
    dumb = environ.get("TERM") == "dumb"
    if environ.get("NO_COLOR"):
        color = False
    elif environ.get("FORCE_COLOR"):
        color = True
    else:
        color = terminal and not dumb
    return StreamStyle(terminal=terminal, color=color, animation=terminal and not dumb)


def console_for(stream: TextIO, environ: Mapping[str, str]) -> Console:
    """Return a rich console that follows `style_of`, and wraps only on a terminal."""
    from rich.console import Console

    style = style_of(stream, environ)
    return Console(
        file=stream,
        force_terminal=style.color or style.animation,
        # None: no bold and no italics either. Only the cursor of an animation is left.
        color_system=_color_system(style),
        width=None if style.terminal else _UNLIMITED_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
        # What rich would read from the environment has been decided above.
        _environ={k: v for k, v in environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")},
    )


def bar_column(width: int) -> BarColumn:
    """Return a bar in the terminal's own colours, which its user can read on light or on dark."""
    from rich.progress import BarColumn

    return BarColumn(width, "bright_black", "cyan", "cyan", "cyan")


def _color_system(style: StreamStyle) -> Literal["auto", "standard"] | None:
    if not style.color:
        return None
    return "auto" if style.terminal else "standard"


def one_line(text: str) -> str:
    """Return `text` as one line in which a terminal has nothing to obey.

    Names and answers in messages come from files and servers.
    """
    return printable(" ".join(text.split()))


def printable(text: str) -> str:
    r"""Return `text` with every character that is not printable as an escape such as `\n`."""
    return "".join(map(_printable, text))


def _printable(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def say(text: str, label: str = "") -> None:
    """Write one line to standard error; a closed or full one stops nothing and hides nothing.

    The `label` is written as it is.
    """
    try:
        sys.stderr.write(f"fnet: {label}{one_line(text)}\n")
        sys.stderr.flush()
    except OSError:
        return


@contextmanager
def native_noise_held() -> Iterator[None]:
    """Keep what native code writes to standard error in the body from the user.

    TensorFlow's libraries greet with lines that no log level turns off. They are shown after
    all where the body fails unexpectedly, since they may say why.
    """
    try:
        saved = os.dup(2)
    except OSError:  # no standard error at all
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except FnetError:  # says itself what is wrong, in one line
            raise
        except Exception:
            os.dup2(saved, 2)
            held.seek(0)
            os.write(2, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
