"""`fnet presets pull` and what looks after the caches: verify, remove, prune, export, import."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnet_cli.cli.interrupts import stop_if_asked
from fnet_cli.cli.presets import (
    AllowPickle,
    FormatOption,
    JsonOption,
    chosen_format,
    presets_app,
    short_revision,
)
from fnet_cli.cli.pull_progress import shown_pull
from fnet_cli.cli.settings import Offline, current_settings
from fnet_cli.cli.tables import Column, Table, print_table, size
from fnet_cli.errors import FnetError, IntegrityError, UsageError
from fnet_cli.units import show_bytes

if TYPE_CHECKING:
    from fnet_cli.config import Settings
    from fnet_cli.presets.handles import Handle
    from fnet_cli.presets.pulling.pull import Pulled, PullOptions
    from fnet_cli.presets.store.manifest import Manifest

_Names = Annotated[
    list[str] | None, typer.Argument(help="Preset names or handles.", metavar="NAME|HANDLE")
]
_Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
_DryRun = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]
_Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]


@presets_app.command("pull")
def pull_command(  # noqa: PLR0913 - Typer reads a command's options from its signature
    names: _Names = None,
    revision: Annotated[
        str | None,
        typer.Option(help="Kaggle version, or branch, tag or commit on Hugging Face."),
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(help="Write the exact revision and every file's sha256 here.", metavar="FILE"),
    ] = None,
    locked: Annotated[
        Path | None,
        typer.Option(
            help="Pull exactly what a lock file says, all of it or NAMEs.", metavar="FILE"
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Fetch files that are here again.")
    ] = False,
    allow_pickle: AllowPickle = False,
    dry_run: _DryRun = False,
    offline: Offline = False,
    quiet: _Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was pulled as JSON.")] = False,
) -> None:
    """Fetch presets into the cache, checked; what is here already is only checked.

    An interrupted pull goes on where it was. What can be pulled: f_net_base_en,
    kaggle://owner/model/keras/variation/1, hf://owner/name@revision, and the
    address of a directory: https://, s3://, gs:// or file://.

    Example: fnet presets pull f_net_base_en
    """
    from fnet_cli.presets.lockfile import write_lock
    from fnet_cli.presets.pulling.pull import PullOptions, pull

    settings = current_settings(offline=offline)
    wanted = _wanted(names or [], revision, locked)
    if dry_run:
        with shown_pull(quiet=quiet) as on_event:
            options = PullOptions(force, allow_pickle, on_event=on_event)
            rows = [row for handle, _ in wanted for row in _planned(handle, settings, options)]
        _print_plan(rows, as_json=as_json)  # when no bar is in the way any more
        return
    done: list[Pulled] = []
    for handle, manifest in wanted:
        with shown_pull(quiet=quiet) as on_event:
            options = PullOptions(force, allow_pickle, manifest, on_event)
            done.append(pull(handle, settings, options))
        if not quiet:
            typer.echo(f"fnet: {_outcome(done[-1])}", err=True)
    if lock is not None:
        write_lock(lock, [pulled.manifest for pulled in done])
    if as_json:
        import json

        records = [
            {
                **pulled.manifest.to_dict(),
                "path": str(pulled.preset.directory),
                "fetched": pulled.fetched,
            }
            for pulled in done
        ]
        sys.stdout.write(json.dumps(records) + "\n")


def _wanted(
    names: Sequence[str], revision: str | None, locked: Path | None
) -> list[tuple[Handle, Manifest | None]]:
    """Return what to pull, each with what a lock file says that it must be."""
    from fnet_cli.presets.lockfile import locked_handle, read_lock

    if locked is not None:
        if revision is not None:
            raise UsageError("--locked and --revision contradict each other")
        manifests = read_lock(locked)
        if names:
            manifests = [found for name in names for found in _chosen(name, manifests, locked)]
        return [(locked_handle(manifest), manifest) for manifest in manifests]
    if not names:
        raise UsageError("name a preset to pull", hint="fnet presets list shows the built-in ones")
    return [(_remote(name, revision), None) for name in names]


def _chosen(name: str, manifests: Sequence[Manifest], locked: Path) -> list[Manifest]:
    """Return what a lock file has of one preset, at the revision that `name` may state."""
    handle = _remote(name)
    found = [
        manifest
        for manifest in manifests
        if manifest.handle == str(handle.unpinned)
        and handle.revision in (None, manifest.revision, manifest.requested)
    ]
    if not found:
        raise UsageError(f"{locked} does not lock {handle}")
    return found


def _remote(name: str, revision: str | None = None) -> Handle:
    """Return the handle of something that can be pulled."""
    from fnet_cli.presets.handles import parse_handle, with_revision
    from fnet_cli.presets.registry import BUILTIN_PRESETS
    from fnet_cli.presets.resolving import resolve_preset

    builtin = BUILTIN_PRESETS.get(name)
    if builtin is not None and builtin.bundled:
        raise UsageError(f"{name} is part of the package: there is nothing to pull")
    handle = parse_handle(name)
    if handle is None:
        resolve_preset(name, current_settings())  # an unknown name says which are near
        raise UsageError(f"{name} is a directory: there is nothing to pull")
    if revision is None:
        return handle
    # A built-in name stands for one version; another one may be asked for.
    return with_revision(handle if builtin is None else handle.unpinned, revision)


def _outcome(pulled: Pulled) -> str:
    from fnet_cli.presets.store.managing import shown_name

    name = shown_name(pulled.preset.handle)
    where = f"in {pulled.preset.directory}"
    if not pulled.fetched:
        return f"{name} is here, and whole: {show_bytes(pulled.manifest.size)} {where}"
    size = sum(pulled.manifest.by_name[file].size for file in pulled.fetched)
    files = "1 file" if len(pulled.fetched) == 1 else f"{len(pulled.fetched)} files"
    return f"pulled {name}: {files}, {show_bytes(size)} {where}"


def _planned(handle: Handle, settings: Settings, options: PullOptions) -> list[dict[str, Any]]:
    """Return a row for each file that a pull would fetch."""
    from fnet_cli.presets.pulling.pull import plan_pull

    preset, files = plan_pull(handle, settings, options)
    facts = {"preset": str(preset.handle.unpinned), "revision": preset.revision}
    return [{**facts, "file": file.name, "bytes": file.size} for file in files]


def _print_plan(rows: Sequence[dict[str, Any]], *, as_json: bool) -> None:
    columns = (
        Column("preset", "Preset"),
        Column("revision", "Revision", short_revision),
        Column("file", "File"),
        Column("bytes", "Size", size, right=True),
    )
    total = sum(row["bytes"] or 0 for row in rows)
    files = "1 file" if len(rows) == 1 else f"{len(rows)} files"
    footer = {"preset": "to fetch", "revision": "", "file": files, "bytes": total}
    print_table(Table(columns, rows, footer), chosen_format(None, as_json), rows)


@presets_app.command("verify")
def verify_command(
    names: _Names = None,
    every: Annotated[bool, typer.Option("--all", help="Every preset in a cache.")] = False,
    kind: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Hold every byte of cached presets against what was recorded; needs no network.

    Ends with 6 where a file is missing or has changed.

    Example: fnet presets verify --all
    """
    from fnet_cli.presets.store.cached import all_cached, repair_hint
    from fnet_cli.presets.store.managing import find_revisions

    settings = current_settings()
    if every == bool(names):
        raise UsageError("name the presets to verify, or use --all")
    found = list(all_cached(settings)) if every else []
    for name in names or []:
        found += find_revisions(name, settings)
    rows = [_verified(preset) for preset in found]
    columns = (
        Column("preset", "Preset"),
        Column("revision", "Revision", short_revision),
        Column("state", "State"),
        Column("problem", "Problem"),
    )
    print_table(Table(columns, rows), chosen_format(kind, as_json), rows)
    bad = [row for row in rows if row["state"] == "damaged"]
    if bad:
        first = found[rows.index(bad[0])]
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise IntegrityError(
            f"{bad[0]['preset']}: {bad[0]['problem']}{more}",
            hint=repair_hint(first.handle),
        )


def _verified(preset: Any) -> dict[str, Any]:
    from fnet_cli.presets.store.managing import shown_name, verify

    row = {"preset": shown_name(preset.handle), "revision": preset.revision}
    try:
        found = verify(preset)
    except FnetError as error:
        return {**row, "state": "damaged", "problem": str(error)}
    state = "damaged" if found.problems else "recorded" if found.adopted else "ok"
    return {**row, "state": state, "problem": "; ".join(found.problems)}


@presets_app.command("remove")
def remove_command(
    names: Annotated[
        list[str], typer.Argument(help="Preset names or handles.", metavar="NAME|HANDLE")
    ],
    dry_run: _DryRun = False,
    yes: _Yes = False,
) -> None:
    """Remove presets from the caches: the revision that a handle names, or all of them.

    The caches are shared: keras_hub and transformers lose them, too.

    Example: fnet presets remove f_net_base_en --yes
    """
    from fnet_cli.presets.store.managing import disk_size, find_revisions, remove, revision_name

    settings = current_settings()
    # By handle: two names may mean the same revision.
    found = {preset.handle: preset for name in names for preset in find_revisions(name, settings)}
    presets = [
        (preset, revision_name(handle), disk_size(preset.directory))
        for handle, preset in found.items()
    ]
    if _confirmed([(name, count) for _, name, count in presets], dry_run=dry_run, yes=yes):
        for preset, name, count in presets:
            remove(preset)
            typer.echo(f"fnet: removed {name}: {show_bytes(count)}", err=True)


@presets_app.command("prune")
def prune_command(dry_run: _DryRun = False, yes: _Yes = False) -> None:
    """Remove partial downloads that nobody continues, and revisions that newer ones replaced.

    Revisions that were asked for by number or commit stay, as does what other programs fetched.

    Example: fnet presets prune --dry-run
    """
    from fnet_cli.presets.store.managing import leftovers

    found = leftovers(current_settings())
    if not found:
        typer.echo("fnet: there is nothing to remove", err=True)
        return
    sizes = [(f"{item.kind} of {item.name}", item.bytes) for item in found]
    if _confirmed(sizes, dry_run=dry_run, yes=yes):
        for item, (name, count) in zip(found, sizes, strict=True):
            item.remove()
            typer.echo(f"fnet: removed {name}: {show_bytes(count)}", err=True)


def _confirmed(sizes: Sequence[tuple[str, int]], *, dry_run: bool, yes: bool) -> bool:
    """Show what goes and return whether it may: asked, unless told not to.

    Without a terminal nobody can be asked.
    """
    if dry_run:
        for name, count in sizes:
            typer.echo(f"{name}\t{count}")
        return False
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to ask", hint="add --yes, or --dry-run to look first")
    for name, count in sizes:
        typer.echo(f"  {name} ({show_bytes(count)})", err=True)
    try:
        agreed = typer.confirm("Remove?", err=True)
    except typer.Abort:  # the end of the input; a signal has been remembered
        stop_if_asked()
        typer.echo(err=True)
        agreed = False
    if not agreed:
        typer.echo("fnet: nothing was removed", err=True)
    return agreed


@presets_app.command("export")
def export_command(
    preset: Annotated[
        str, typer.Argument(help="Preset name, handle or directory.", metavar="NAME")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="Archive to write (.tar).")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Write a preset that is on this machine into one archive, for a machine without network.

    Example: fnet presets export f_net_mini_en -o mini.tar
    """
    from fnet_cli.presets.archive import export_preset
    from fnet_cli.presets.resolving import resolve_preset

    export_preset(resolve_preset(preset, current_settings()), output, overwrite=overwrite)
    typer.echo(f"fnet: wrote {output}: {show_bytes(output.stat().st_size)}", err=True)


@presets_app.command("import")
def import_command(
    archive: Annotated[Path, typer.Argument(help="Archive that export wrote.", metavar="FILE")],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="New directory, instead of the cache.", metavar="DIR"),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are here already.")
    ] = False,
    allow_pickle: AllowPickle = False,
) -> None:
    """Put a preset from an archive into its cache, as if it had been pulled here.

    Example: fnet presets import base.tar
    """
    from fnet_cli.presets.archive import import_archive

    path = import_archive(
        archive, current_settings(), directory=output, force=force, allow_pickle=allow_pickle
    )
    typer.echo(f"fnet: imported into {path}", err=True)
