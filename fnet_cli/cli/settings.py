"""The settings of this run: flags, the environment, files of settings."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from fnet_cli.config import FoundSettings, Origin, Settings, check_web_address, find_settings
from fnet_cli.errors import UsageError

Offline = Annotated[
    bool, typer.Option("--offline", help="Make no connection. Default: FNET_OFFLINE.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print problems only.")]


def current_settings(*, offline: bool = False, endpoint: str | None = None) -> Settings:
    """Return the settings of the environment and the files; `offline` and `endpoint` are flags.

    Raises UsageError for what cannot be used of them, and for an endpoint that is no address of a
    server, or has credentials in it.
    """
    return current_found(offline=offline, endpoint=endpoint).settings


def current_found(*, offline: bool = False, endpoint: str | None = None) -> FoundSettings:
    """Return the same with the origin of each setting."""
    found = find_settings(os.environ, _working_directory())
    if endpoint is not None:
        check_web_address(endpoint, "--endpoint")
        if "@" in endpoint:
            raise UsageError(
                "--endpoint holds credentials, which everybody on this machine could see",
                hint="they go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        found = _with_flag(found, "s3_endpoint", endpoint)
    if offline:
        found = _with_flag(found, "offline", True)
    if found.settings.offline:
        # The client has a switch of its own, which it reads when it is imported.
        os.environ["HF_HUB_OFFLINE"] = "1"
    return found


def _with_flag(found: FoundSettings, key: str, value: Any) -> FoundSettings:
    origins = {**found.origins, key: Origin(flag=f"--{key.removeprefix('s3_')}")}
    return replace(found, settings=replace(found.settings, **{key: value}), origins=origins)


def _working_directory() -> Path | None:
    """Return where the program was started, or None where that is gone."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None
