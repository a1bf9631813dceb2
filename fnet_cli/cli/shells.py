"""Answers to a shell that completes a line, by the protocol of Typer's scripts."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import redirect_stdout

from fnet_cli.errors import FnetError

# The variable that the scripts set, with what they want.
_ASKED = "_FNET_COMPLETE"
_DIVIDERS = re.compile("[:=]+")


def is_completing(environ: Mapping[str, str]) -> bool:
    """Whether a shell asks what could be typed."""
    return environ.get(_ASKED, "").startswith("complete_")


def answered(run: Callable[[], int], environ: MutableMapping[str, str]) -> int:
    """Run what answers a shell; an error of ours is no answer.

    For bash, which divides words at colons and equals signs and replaces only what follows the
    last, words are put together before, and what it keeps is taken off the answers.
    """
    kept = _rejoined(environ) if environ.get(_ASKED) == "complete_bash" else None
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            return run()
    except FnetError:
        return 0
    finally:
        text = printed.getvalue()
        if kept is not None:
            text = "".join(f"{_for_bash(line, kept)}\n" for line in text.splitlines())
        sys.stdout.write(text)


def _rejoined(environ: MutableMapping[str, str]) -> str:
    """Put the words together that bash has divided; return what it keeps of the last one."""
    at = int(environ.get("COMP_CWORD", "0"))
    words, glued = [""], False
    for word in environ.get("COMP_WORDS", "").split("\n")[: at + 1]:
        divides = bool(_DIVIDERS.fullmatch(word))
        if divides or glued:
            words[-1] += word
        else:
            words.append(word)
        glued = divides
    environ["COMP_WORDS"], environ["COMP_CWORD"] = "\n".join(words[1:]), str(len(words) - 2)
    value = words[-1]
    if value.startswith("-"):
        value = value.partition("=")[2]
    return value[: max(value.rfind(":"), value.rfind("=")) + 1]


def _for_bash(line: str, kept: str) -> str:
    return line.removeprefix(kept).replace(" ", "\\ ")
