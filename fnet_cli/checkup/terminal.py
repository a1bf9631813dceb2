"""The locale, and what the terminal is like: never a fault, but it explains what is seen."""

from __future__ import annotations

import codecs
import locale
import sys
from collections.abc import Iterator

from fnet_cli.checkup.findings import Finding, Verdict
from fnet_cli.checkup.world import World

_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS")


def check_locale(world: World) -> Iterator[Finding]:
    """Tell the encodings; one that is not UTF-8 shows names that it lacks as escapes."""
    variables = ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONIOENCODING", "PYTHONUTF8")
    general, files = locale.getpreferredencoding(False), sys.getfilesystemencoding()
    details = {
        "encoding": general,
        "files": files,
        "streams": dict(world.streams.encodings),
        "variables": {name: value for name in variables if (value := world.variable(name))},
    }
    encodings = {general, files, *world.streams.encodings.values()}
    other = sorted(name for name in encodings if not _is_utf8(name))
    if other:
        found = f"{', '.join(other)}: letters that it lacks are shown as escapes"
        hint = "export LC_ALL=C.UTF-8, and unset PYTHONIOENCODING"
        yield Finding("locale", Verdict.NOTE, found, hint, details)
    else:
        yield Finding("locale", Verdict.OK, "UTF-8", details=details)


def check_terminal(world: World) -> Iterator[Finding]:
    """Tell which streams are terminals, and what decides about colour."""
    streams = world.streams
    variables = {name: value for name in _VARIABLES if (value := world.variable(name))}
    told = [
        f"{name} is {'a terminal' if terminal else 'a pipe or a file'}"
        for name, terminal in streams.terminals.items()
    ]
    told.append("with colour" if streams.color else "without colour")
    told += [f"{name}={value}" for name, value in variables.items()]
    details = {"terminals": dict(streams.terminals), "width": streams.width, **variables}
    yield Finding("terminal", Verdict.OK, ", ".join(told), details=details)


def _is_utf8(name: object) -> bool:
    try:
        return codecs.lookup(str(name)).name == "utf-8"
    except LookupError:
        return False
