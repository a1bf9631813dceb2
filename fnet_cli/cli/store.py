"""What fills the caches and copies from them: `fnet presets pull`, export and import."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fnet_cli.cli.presets import (
    AllowPickle,
    DryRun,
    PresetName,
    PresetNames,
    chosen_format,
    presets_app,
    short_revision,
)
from fnet_cli.cli.pull_progress import shown_pull
from fnet_cli.cli.settings import Offline, Quiet, current_settings
from fnet_cli.cli.streams import say
from fnet_cli.cli.tables import Column, Table, print_table, size
from fnet_cli.errors import FnetError, UsageError
from fnet_cli.units import show_bytes

if TYPE_CHECKING:
    from fnet_cli.config import Settings
    from fnet_cli.presets.handles import Handle
    from fnet_cli.presets.pulling.pull import Pulled, PullOptions
    from fnet_cli.presets.store.manifest import Manifest


@presets_app.command("pull")
def pull_command(  # noqa: PLR0913 - Typer reads a command's options from its signature
    names: PresetNames = None,
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
    dry_run: DryRun = False,
    offline: Offline = False,
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was pulled as JSON.")] = False,
) -> None:
    """Fetch presets into the cache, checked; what is here is only checked.

    An interrupted pull goes on where it was. What can be pulled:
    f_net_base_en, kaggle://owner/model/keras/variation/1,
    hf://owner/name@revision, and the address of a directory:
    https://, s3://, gs:// or file://.

    Example: fnet presets pull f_net_base_en
    """
    from fnet_cli.presets.lockfile import check_lock_place, write_lock
    from fnet_cli.presets.pulling.pull import PullOptions

    settings = current_settings(offline=offline)
    if lock is not None:
        if dry_run:
            raise UsageError("--lock and --dry-run contradict each other", hint="leave one out")
        check_lock_place(lock)
    wanted = _wanted(names or [], revision, locked)
    options = PullOptions(force, allow_pickle)
    if dry_run:
        _print_plan(_planned(wanted, settings, options, quiet=quiet), as_json=as_json)
        return
    done: list[Pulled] = []
    try:
        for handle, manifest in wanted:
            exact = replace(options, locked=manifest)
            done.append(_pulled(handle, settings, exact, quiet=quiet))
    except FnetError:
        _print_pulled(done, as_json=as_json)  # what is here now, before the error
        raise
    if lock is not None:
        write_lock(lock, [pulled.manifest for pulled in done])
    _print_pulled(done, as_json=as_json)


def _pulled(handle: Handle, settings: Settings, options: PullOptions, *, quiet: bool) -> Pulled:
    """Pull one preset, and say so."""
    from fnet_cli.presets.pulling.pull import pull

    with shown_pull(quiet=quiet) as on_event:
        pulled = pull(handle, settings, replace(options, on_event=on_event))
    if not quiet:
        say(_outcome(pulled))
    return pulled


def _print_pulled(done: Sequence[Pulled], *, as_json: bool) -> None:
    if not as_json:
        return
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


def _planned(
    wanted: Sequence[tuple[Handle, Manifest | None]],
    settings: Settings,
    options: PullOptions,
    *,
    quiet: bool,
) -> list[dict[str, Any]]:
    """Return a row for each file that a pull would fetch."""
    from fnet_cli.presets.pulling.pull import plan_pull

    rows = []
    with shown_pull(quiet=quiet) as on_event:
        for handle, _ in wanted:
            preset, files = plan_pull(handle, settings, replace(options, on_event=on_event))
            facts = {"preset": str(preset.handle.unpinned), "revision": preset.revision}
            rows += [{**facts, "file": file.name, "bytes": file.size} for file in files]
    return rows


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


@presets_app.command("export")
def export_command(
    preset: PresetName,
    output: Annotated[Path, typer.Option("-o", "--output", help="Archive to write (.tar).")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing file.")
    ] = False,
) -> None:
    """Write a preset that is here into one archive, for another machine.

    Example: fnet presets export f_net_mini_en -o mini.tar
    """
    from fnet_cli.presets.archive import export_preset
    from fnet_cli.presets.resolving import resolve_preset

    export_preset(resolve_preset(preset, current_settings()), output, overwrite=overwrite)
    say(f"wrote {output}: {show_bytes(output.stat().st_size)}")


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
    """Put a preset from an archive into its cache, as if pulled here.

    Example: fnet presets import base.tar
    """
    from fnet_cli.presets.archive import import_archive

    path = import_archive(
        archive, current_settings(), directory=output, force=force, allow_pickle=allow_pickle
    )
    say(f"imported into {path}")
