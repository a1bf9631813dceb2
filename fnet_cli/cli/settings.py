"""The settings of this run: the environment, and the flags that go before it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from fnet_cli.config import Settings, check_web_address
from fnet_cli.errors import UsageError

Offline = Annotated[
    bool, typer.Option("--offline", help="Make no connection. Default: FNET_OFFLINE.")
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Print problems only.")]


def current_settings(*, offline: bool = False, endpoint: str | None = None) -> Settings:
    """Return the settings of the environment; `offline` and `endpoint` are the flags.

    Raises UsageError for an endpoint that is no address of a server, or has credentials in it.
    """
    settings = Settings.from_env(os.environ)
    if endpoint is not None:
        check_web_address(endpoint, "--endpoint")
        if "@" in endpoint:
            raise UsageError(
                "--endpoint holds credentials, which everybody on this machine could see",
                hint="they go into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        settings = replace(settings, s3_endpoint=endpoint)
    if not (offline or settings.offline):
        return settings
    # The client has a switch of its own, which it reads when it is imported.
    os.environ["HF_HUB_OFFLINE"] = "1"
    return replace(settings, offline=True)
