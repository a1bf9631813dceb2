"""`fnet doctor`: what this installation and this machine are like, and what to do about it."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fnet_cli.cli.presets import FormatOption, JsonOption, chosen_format
from fnet_cli.cli.settings import Offline, current_found
from fnet_cli.cli.streams import console_for, one_line, style_of
from fnet_cli.cli.tables import Column, Table, TableFormat, print_table
from fnet_cli.constants import __version__
from fnet_cli.errors import InstallationError, UsageError

if TYPE_CHECKING:
    from fnet_cli.checkup.findings import Finding
    from fnet_cli.checkup.world import Streams
    from fnet_cli.config import FoundSettings

_COLUMNS = (
    Column("verdict", "Verdict"),
    Column("check", "Check"),
    Column("found", "Found"),
    Column("hint", "Hint"),
)
_STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "problem": "bold red"}
# Columns of the verdict and of the check's name, with what separates them.
_INDENT = 23


def doctor(
    offline: Offline = False, kind: FormatOption = None, as_json: JsonOption = False
) -> None:
    """Look at the installation, the machine, the caches and the hubs.

    Each line has a verdict: ok; note, which changes nothing; warning,
    something will not work; problem, fnet does not work. Ends with 9 where
    there is a problem. Secrets are never shown; for a bug report: --json.

    Example: fnet doctor --offline
    """
    from fnet_cli.checkup.findings import Verdict
    from fnet_cli.checkup.run import check_all, this_world

    kind = chosen_format(kind, as_json)
    if kind is None and style_of(sys.stdout, os.environ).terminal:
        kind = TableFormat.TABLE
    findings = []
    with _waiting():
        for finding in check_all(this_world(os.environ, _streams(), _found(offline))):
            findings.append(finding)
            if kind is TableFormat.TABLE:
                _print(finding)
    if kind is not TableFormat.TABLE:
        rows = [finding.to_dict() for finding in findings]
        print_table(Table(_COLUMNS, rows), kind, _document(findings))
    problems = [finding for finding in findings if finding.verdict is Verdict.PROBLEM]
    if problems:
        more = f" (and {len(problems) - 1} more, listed above)" if len(problems) > 1 else ""
        raise InstallationError(
            f"{problems[0].check}: {problems[0].found}{more}", hint=problems[0].hint
        )


def _found(offline: bool) -> FoundSettings | UsageError:
    """Return the settings of this run, or why they cannot be read, which is told with the rest."""
    try:
        return current_found(offline=offline)
    except UsageError as error:
        return error


@contextmanager
def _waiting() -> Iterator[None]:
    """Tell somebody at a terminal who waits for a table that something is going on."""
    # Lines that come one by one tell it themselves.
    style = style_of(sys.stderr, os.environ)
    if not style.animation or style_of(sys.stdout, os.environ).terminal:
        yield
        return
    with console_for(sys.stderr, os.environ).status(
        "looking; a backend takes seconds to start", spinner="line"
    ):
        yield


def _document(findings: list[Finding]) -> dict[str, object]:
    from fnet_cli.checkup.findings import worst

    return {
        "fnet": __version__,
        "verdict": worst(findings).value,
        "findings": [finding.to_dict() for finding in findings],
    }


def _print(finding: Finding) -> None:
    """Print a finding as a line, wrapped under itself where the terminal is narrow."""
    from rich.text import Text

    console = console_for(sys.stdout, os.environ)
    room = max(20, console.width - _INDENT)
    lines = _wrapped(finding.found, room)
    if finding.hint:
        first, *rest = _wrapped(finding.hint, room - 3)
        lines += [f"-> {first}", *(f"   {line}" for line in rest)]
    head = Text.assemble((f"{finding.verdict:<8}", _STYLES[finding.verdict]))
    head.append(f"  {finding.check:<13}")
    for line in lines:
        console.print(head.append(line), soft_wrap=True)
        head = Text(" " * _INDENT)
    sys.stdout.flush()


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(one_line(text), width, break_long_words=False, break_on_hyphens=False)


def _streams() -> Streams:
    from fnet_cli.checkup.world import Streams

    named = {"stdout": sys.stdout, "stderr": sys.stderr}
    style = style_of(sys.stdout, os.environ)
    return Streams(
        terminals={name: stream.isatty() for name, stream in named.items()},
        encodings={name: stream.encoding or "" for name, stream in named.items()},
        color=style.color,
        width=console_for(sys.stdout, os.environ).width if style.terminal else None,
    )
