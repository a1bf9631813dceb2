"""Whether the hubs answer what a pull would ask them first."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

from fnet_cli.checkup.access import redacted
from fnet_cli.checkup.findings import Finding, Verdict
from fnet_cli.checkup.world import World
from fnet_cli.config import Settings
from fnet_cli.errors import AccessError, NetworkError, PresetNotFoundError
from fnet_cli.outcomes import Outcome
from fnet_cli.presets.handles import Handle, SourceName
from fnet_cli.presets.sources.base import Listing, TransientError
from fnet_cli.presets.sources.remote import remote_source

_WITHOUT = "the bundled preset works without; fnet presets import brings others"
# What anybody may read there, asked for as `presets pull` asks for it.
_ASKED = {
    "Kaggle": Handle(SourceName.KAGGLE, "keras/f_net/keras/f_net_base_en", "3"),
    "Hugging Face": Handle(SourceName.HUGGING_FACE, "google/fnet-base"),
}
_LOGIN = {
    "Kaggle": "the token is wrong or has expired: set KAGGLE_API_TOKEN again",
    "Hugging Face": "the token is wrong or has expired: hf auth login, or set HF_TOKEN again",
}


class _Asked:
    """One hub being asked, in a thread that nobody waits for longer than the user would."""

    def __init__(self, name: str, settings: Settings) -> None:
        self.name = name
        self.outcome = Outcome[Listing]()
        self.thread = threading.Thread(target=self._ask, args=(settings,), daemon=True)
        self.thread.start()

    def _ask(self, settings: Settings) -> None:
        handle = _ASKED[self.name]
        with self.outcome:
            self.outcome.values.append(remote_source(handle.source, settings).list(handle))


def check_hubs(world: World) -> Iterator[Finding]:
    """Ask both hubs at once, unless offline; a hub that does not answer is a warning."""
    settings = world.settings
    if settings.offline:
        reason = "the settings cannot be read" if world.settings_error else "offline"
        yield Finding("hubs", Verdict.NOTE, f"not asked: {reason}", details={"asked": False})
        return
    limited = replace(settings, timeout=min(settings.timeout, world.patience), retries=0)
    for asked in [_Asked(name, limited) for name in _ASKED]:
        # A name that is looked up, or an answer that drips, has a patience of its own.
        asked.thread.join(world.patience + 1)
        yield _finding(asked, _address(asked.name, settings), alive=asked.thread.is_alive())


def _address(name: str, settings: Settings) -> str:
    if name == "Kaggle":
        return redacted(settings.kaggle_endpoint) or "https://www.kaggle.com"
    return redacted(settings.huggingface_endpoint) or "https://huggingface.co"


def _finding(asked: _Asked, address: str, *, alive: bool) -> Finding:
    name, error = asked.name, asked.outcome.error
    details = {"hub": name, "address": address, "asked": True}
    where = f"{name} ({urlsplit(address).netloc})"
    if alive:
        found = f"{where}: no answer in time"
        return Finding("hubs", Verdict.WARNING, found, _hint_for(TimeoutError()), details)
    match error:
        case None:
            return Finding("hubs", Verdict.OK, f"{where}: answers", details=details)
        case PresetNotFoundError():
            found = f"{where}: answers, and does not have {_ASKED[name]}"
            return Finding("hubs", Verdict.OK, found, details=details)
        case AccessError():
            found = f"{where}: answers, and refuses access"
            return Finding("hubs", Verdict.WARNING, found, _LOGIN[name], details)
        case ImportError():
            found = f"{where}: its client cannot be imported: {error}"
            return Finding("hubs", Verdict.WARNING, found, _WITHOUT, details)
        case NetworkError() | TransientError():
            hint = getattr(error, "hint", "") or _hint_for(error)
            return Finding("hubs", Verdict.WARNING, f"{where}: {error}", hint, details)
        case _:  # a fault in its client, whose words may hold anything
            found = f"{where}: its client fails with a {type(error).__name__}"
            return Finding("hubs", Verdict.WARNING, found, _WITHOUT, details)


def _hint_for(error: BaseException | None) -> str:
    """Return what to do about a failed connection, by the types of its causes."""
    causes = list(_causes(error))
    if any("Proxy" in type(cause).__name__ for cause in causes):
        return "the proxy fails: correct HTTPS_PROXY, or name the hub in NO_PROXY"
    for kind, hint in _HINTS.items():
        if any(isinstance(cause, kind) for cause in causes):
            return hint
    return _WITHOUT


_HINTS: dict[type[BaseException], str] = {
    ssl.SSLError: "does a proxy sign anew what comes over https? Name its certificates in "
    "REQUESTS_CA_BUNDLE and SSL_CERT_FILE",
    socket.gaierror: "the name is not known here: look at DNS, or set HTTPS_PROXY",
    TimeoutError: "a firewall may swallow it: set HTTPS_PROXY, or work with --offline",
    ConnectionRefusedError: "nothing listens there: look at the address, or set HTTPS_PROXY",
}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all that led to it, wherever the clients keep it."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None)]
            waiting += [item for item in one.args if isinstance(item, BaseException)]
