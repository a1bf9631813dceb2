"""All checks, in the order in which they are told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from fnet_cli.checkup.access import check_credentials, check_proxies
from fnet_cli.checkup.backend import check_backend
from fnet_cli.checkup.findings import Finding
from fnet_cli.checkup.hubs import check_hubs
from fnet_cli.checkup.installation import (
    check_extras,
    check_packages,
    check_program,
    check_python,
)
from fnet_cli.checkup.machine import check_memory, check_processor
from fnet_cli.checkup.places import check_caches, check_settings, check_temporary
from fnet_cli.checkup.terminal import check_locale, check_terminal
from fnet_cli.checkup.world import Streams, World
from fnet_cli.config import FoundSettings, Settings
from fnet_cli.errors import UsageError

Check = Callable[[World], Iterator[Finding]]
CHECKS: dict[str, Check] = {
    "python": check_python, "packages": check_packages, "extras": check_extras,
    "program": check_program, "backend": check_backend, "processor": check_processor,
    "memory": check_memory, "settings": check_settings, "caches": check_caches,
    "temporary": check_temporary, "credentials": check_credentials, "proxies": check_proxies,
    "hubs": check_hubs, "locale": check_locale, "terminal": check_terminal,
}  # fmt: skip
_PLACES = (
    "FNET_CACHE", "KAGGLEHUB_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
    "XDG_CACHE_HOME",
)  # fmt: skip


def check_all(world: World) -> Iterator[Finding]:
    """Yield what each check finds, as soon as it does."""
    for check in CHECKS.values():
        yield from check(world)


def this_world(
    environ: Mapping[str, str], streams: Streams, found: FoundSettings | UsageError
) -> World:
    """Return the world that this process is in; settings that cannot be read are a finding of it.

    Where they are an error, nobody is asked anything, for they may have said so.
    """
    if not isinstance(found, UsageError):
        return World(found.settings, environ, Path.home(), streams=streams, project=found.project)
    places = {name: environ[name] for name in _PLACES if environ.get(name)}
    settings = Settings.from_env({**places, "FNET_CONFIG": os.devnull})
    offline = replace(settings, offline=True)
    return World(offline, environ, Path.home(), settings_error=found, streams=streams)
