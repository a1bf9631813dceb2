"""The settings of this run: the environment, and the flags that go before it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from fnet_cli.config import Settings

Offline = Annotated[
    bool, typer.Option("--offline", help="Make no connection. Default: FNET_OFFLINE.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print problems only.")]


def current_settings(*, offline: bool = False) -> Settings:
    """Return the settings of the environment; `offline` is the flag."""
    settings = Settings.from_env(os.environ)
    if not (offline or settings.offline):
        return settings
    # The client has a switch of its own, which it reads when it is imported.
    os.environ["HF_HUB_OFFLINE"] = "1"
    return replace(settings, offline=True)
