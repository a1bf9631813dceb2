"""What looks after the caches: `fnet presets verify`, remove and prune."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnet_cli.cli.completing import complete_cached_preset
from fnet_cli.cli.interrupts import stop_if_asked
from fnet_cli.cli.presets import (
    DryRun,
    FormatOption,
    JsonOption,
    chosen_format,
    named,
    presets_app,
    short_revision,
)
from fnet_cli.cli.settings import current_settings
from fnet_cli.cli.streams import one_line, say
from fnet_cli.cli.tables import Column, Table, print_table, size
from fnet_cli.errors import FnetError, IntegrityError, UnsafePresetError, UsageError
from fnet_cli.units import show_bytes

if TYPE_CHECKING:
    from fnet_cli.config import Settings
    from fnet_cli.presets.store.cached import CachedPreset

_Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]
_RowsAsJson = Annotated[
    bool, typer.Option("--json", help="Print what goes as JSON on standard output.")
]
CachedNames = Annotated[
    list[str] | None,
    typer.Argument(
        help="Preset names or handles.",
        metavar="NAME|HANDLE",
        callback=named,
        autocompletion=complete_cached_preset,
    ),
]
_VERIFIED = (
    Column("preset", "Preset"),
    Column("revision", "Revision", short_revision),
    Column("state", "State"),
    Column("problem", "Problem"),
)
_GOING = (
    Column("preset", "Preset"),
    Column("kind", "Kind", optional=1),
    Column("bytes", "On disk", size, right=True),
)


@presets_app.command("verify")
def verify_command(
    names: CachedNames = None,
    every: Annotated[bool, typer.Option("--all", help="Every preset in a cache.")] = False,
    kind: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold every byte of cached presets against its record; no network.

    Ends with 6 where a file is missing or has changed. A preset of another
    program that would not be loaded is refused: with --all that is only
    told, by its name it ends with 4.

    Example: fnet presets verify --all
    """
    found = _to_verify(names or [], current_settings(), every=every)
    verified = [_verified(preset) for preset in found]
    rows = [row for row, _ in verified]
    print_table(Table(_VERIFIED, rows), chosen_format(kind, as_json), rows)
    errors = [error for _, error in verified if error is not None]
    damaged = [error for error in errors if isinstance(error, IntegrityError)]
    if damaged:
        more = f" (and {len(damaged) - 1} more)" if len(damaged) > 1 else ""
        raise IntegrityError(f"{damaged[0]}{more}", hint=damaged[0].hint)
    if errors and not every:
        raise errors[0]


def _to_verify(names: Sequence[str], settings: Settings, *, every: bool) -> list[CachedPreset]:
    from fnet_cli.presets.registry import BUILTIN_PRESETS
    from fnet_cli.presets.store.cached import all_cached
    from fnet_cli.presets.store.managing import find_revisions

    if not (names or every):
        raise UsageError(
            "name the presets to verify", hint="for all that are here: fnet presets verify --all"
        )
    if names and every:
        raise UsageError("--all and names contradict each other", hint="leave one of them out")
    for name in names:
        builtin = BUILTIN_PRESETS.get(name)
        if builtin is not None and builtin.bundled:
            raise UsageError(
                f"{name} is part of the package and in no cache",
                hint="it is as whole as the package; to put it back as it was: pip install "
                "--force-reinstall fnet-cli",
            )
    if every:
        return list(all_cached(settings))
    return [preset for name in names for preset in find_revisions(name, settings)]


def _verified(preset: CachedPreset) -> tuple[dict[str, Any], FnetError | None]:
    """Return the row of a preset, and what is wrong with it."""
    from fnet_cli.presets.store.cached import repair_hint
    from fnet_cli.presets.store.managing import shown_name, verify

    name = shown_name(preset.handle)
    row = {"preset": name, "revision": preset.revision}
    try:
        found = verify(preset)
    except UnsafePresetError as error:
        return {**row, "state": "refused", "problem": str(error)}, error
    except FnetError as error:
        problem = str(error)
    else:
        problem = "; ".join(found.problems)
        if not problem:
            return {**row, "state": "recorded" if found.adopted else "ok", "problem": ""}, None
    damage = IntegrityError(f"{name}: {problem}", hint=repair_hint(preset.handle))
    return {**row, "state": "damaged", "problem": problem}, damage


@dataclass(frozen=True)
class _Going:
    """One thing that is removed, and how."""

    name: str
    kind: str
    bytes: int
    remove: Callable[[], None]

    @property
    def row(self) -> dict[str, Any]:
        """What `--dry-run` and `--json` print."""
        return {"preset": self.name, "kind": self.kind, "bytes": self.bytes}

    def __str__(self) -> str:
        return self.name if self.kind == "revision" else f"{self.kind} of {self.name}"


@presets_app.command("remove")
def remove_command(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Preset names or handles.",
            metavar="NAME|HANDLE",
            callback=named,
            autocompletion=complete_cached_preset,
        ),
    ],
    dry_run: DryRun = False,
    yes: _Yes = False,
    as_json: _RowsAsJson = False,
) -> None:
    """Remove presets from the caches: a handle's revision, or all of them.

    The caches are shared: keras_hub and transformers lose them, too.

    Example: fnet presets remove f_net_base_en --yes
    """
    from fnet_cli.presets.store.managing import disk_size, find_revisions, remove, revision_name

    settings = current_settings()
    # By handle: two names may mean the same revision.
    found = {preset.handle: preset for name in names for preset in find_revisions(name, settings)}
    going = [
        _Going(
            revision_name(handle), "revision", disk_size(preset.directory), partial(remove, preset)
        )
        for handle, preset in found.items()
    ]
    _remove(going, dry_run=dry_run, yes=yes, as_json=as_json)


@presets_app.command("prune")
def prune_command(dry_run: DryRun = False, yes: _Yes = False, as_json: _RowsAsJson = False) -> None:
    """Remove partial downloads nobody continues, and replaced revisions.

    Revisions that were asked for by number or commit stay, as does what
    other programs fetched.

    Example: fnet presets prune --dry-run
    """
    from fnet_cli.presets.store.managing import leftovers

    found = leftovers(current_settings())
    going = [_Going(item.name, item.kind, item.bytes, item.remove) for item in found]
    _remove(going, dry_run=dry_run, yes=yes, as_json=as_json)


def _remove(going: Sequence[_Going], *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove it all, where that may be; or print what would go."""
    rows = [item.row for item in going]
    if dry_run:
        total = {"preset": "to remove", "kind": "", "bytes": sum(item.bytes for item in going)}
        print_table(Table(_GOING, rows, total), chosen_format(None, as_json), rows)
        return
    if not going:
        say("there is nothing to remove")
    elif not _confirmed(going, yes=yes):
        rows = []
    else:
        for item in going:
            item.remove()
            say(f"removed {item}: {show_bytes(item.bytes)}")
    if as_json:
        sys.stdout.write(json.dumps(rows) + "\n")


def _confirmed(going: Sequence[_Going], *, yes: bool) -> bool:
    """Return whether it may go: asked, unless told not to.

    Without a terminal nobody can be asked.
    """
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask", hint="add --yes, or --dry-run to look first")
    for item in going:
        typer.echo(f"  {one_line(f'{item} ({show_bytes(item.bytes)})')}", err=True)
    try:
        agreed = typer.confirm("Remove?", err=True)
    except typer.Abort:  # the end of the input; a signal has been remembered
        stop_if_asked()
        typer.echo(err=True)
        agreed = False
    if not agreed:
        say("nothing was removed")
    return agreed
