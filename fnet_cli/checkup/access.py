"""Credentials and proxies: which are there, and from where. Their values are never shown."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fnet_cli.checkup.findings import Finding, Verdict, shown_path
from fnet_cli.checkup.world import World

_PROXIES = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
_USERINFO = re.compile(r"^([a-z][a-z0-9+.\-]*://)?.*@", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class _Owner:
    """Where a client looks for credentials, in its order: variables that belong together, files.

    A variable in `files` holds the path of a file.
    """

    name: str
    variables: tuple[tuple[str, ...], ...]
    files: tuple[str, ...]


def _owners(world: World) -> tuple[_Owner, ...]:
    kaggle = world.variable("KAGGLE_CONFIG_DIR") or "~/.kaggle"
    hugging_face = world.variable("HF_HOME") or (
        f"{world.variable('XDG_CACHE_HOME') or '~/.cache'}/huggingface"
    )
    return (
        _Owner("Kaggle", (("KAGGLE_API_TOKEN",), ("KAGGLE_USERNAME", "KAGGLE_KEY")),
               ("~/.kaggle/access_token", f"{kaggle}/kaggle.json")),
        _Owner("Hugging Face", (("HF_TOKEN",), ("HUGGING_FACE_HUB_TOKEN",)),
               (world.variable("HF_TOKEN_PATH") or f"{hugging_face}/token",)),
        _Owner("S3", (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_PROFILE",),
                      ("AWS_WEB_IDENTITY_TOKEN_FILE",),
                      ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",)),
               (world.variable("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials",)),
        _Owner("Google Cloud", (("GOOGLE_APPLICATION_CREDENTIALS",),),
               ("~/.config/gcloud/application_default_credentials.json",)),
        _Owner("web mirrors", (), (world.variable("NETRC") or "~/.netrc",)),
    )  # fmt: skip


def check_credentials(world: World) -> Iterator[Finding]:
    """Tell for each hub and store where credentials were found, and what is wrong with them."""
    without = []
    for owner in _owners(world):
        sources = list(_sources(owner, world))
        half = _half(owner, world.environ)
        details = {"for": owner.name, "sources": [name for name, _ in sources]}
        worry = next((worry for _, worry in sources if worry), "")
        if half:
            found = f"{owner.name}: {half[0]} is set, and {half[1]} is not"
            yield Finding("credentials", Verdict.WARNING, found, "set both, or neither", details)
        elif not sources:
            without.append(owner.name)
        else:
            found = f"{owner.name}: found in {sources[0][0]}"
            if len(sources) > 1:
                found += f", before {' and '.join(name for name, _ in sources[1:])}"
            verdict = Verdict.WARNING if worry else Verdict.OK
            yield Finding("credentials", verdict, found, worry, details)
    if without:
        found = f"none for {', '.join(without)}; none are needed for what is public"
        yield Finding("credentials", Verdict.OK, found, details={"without": without})


def _sources(owner: _Owner, world: World) -> Iterator[tuple[str, str]]:
    """Yield what has credentials, and what is wrong with it."""
    for names in owner.variables:
        if all(world.variable(name) for name in names):
            values = [world.variable(name) for name in names]
            yield " and ".join(names), _worry_of_values(names, values, world)
    for text in owner.files:
        path = _expanded(text, world.home)
        if path.is_file():
            yield shown_path(path, world.home), _worry_of_file(path, world.home)


def _worry_of_values(names: tuple[str, ...], values: list[str], world: World) -> str:
    if names == ("GOOGLE_APPLICATION_CREDENTIALS",):
        missing = not _expanded(values[0], world.home).is_file()
        return f"{names[0]} names a file that is not there" if missing else ""
    for name, value in zip(names, values, strict=True):
        if not (value.isascii() and value.isprintable()) or value != value.strip():
            return f"{name} holds a blank, a line break or a foreign letter: set it again"
    return ""


def _worry_of_file(path: Path, home: Path) -> str:
    shown = shown_path(path, home)
    try:
        if path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            return f"others may read it: chmod 600 {shown}"
        with path.open("rb"):
            return ""
    except OSError as error:
        return f"{shown} cannot be read: {error.strerror}"


def _half(owner: _Owner, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the variable of a pair that is set, and the one that is not."""
    for names in owner.variables:
        present = [name for name in names if environ.get(name)]
        absent = [name for name in names if not environ.get(name)]
        if present and absent:
            return present[0], absent[0]
    return None


def check_proxies(world: World) -> Iterator[Finding]:
    """Tell the proxies and certificates of the environment, without what stands before an `@`."""
    proxies = {
        name: redacted(value)
        for name in _PROXIES
        if (value := world.variable(name) or world.variable(name.upper()))
    }
    files = {name: value for name in _CERTIFICATES if (value := world.variable(name))}
    missing = [name for name, value in files.items() if not _expanded(value, world.home).exists()]
    told = [f"{name} {value}" for name, value in proxies.items()]
    told += [f"{name} {shown_path(value, world.home)}" for name, value in files.items()]
    details = {"proxies": proxies, "certificates": list(files)}
    if missing:
        found = f"{missing[0]} names a file that is not there"
        hint = f"correct {missing[0]} or unset it: no https address can be reached with it"
        yield Finding("proxies", Verdict.WARNING, found, hint, details)
    else:
        found = ", ".join(told) or "none"
        yield Finding("proxies", Verdict.OK, found, details=details)


def redacted(address: str) -> str:
    """Return an address without its user and password."""
    return _USERINFO.sub(lambda found: f"{found[1] or ''}***@", address)


def _expanded(text: str, home: Path) -> Path:
    return home / text.removeprefix("~/") if text.startswith("~/") else Path(text)
