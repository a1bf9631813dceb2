"""What users call presets that come from elsewhere, parsed and checked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from urllib.parse import urlsplit

from fnet_cli.errors import PresetError, UsageError
from fnet_cli.presets.registry import BUILTIN_PRESETS

# No part of a handle can climb out of a directory: none is, or starts with, a point.
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_\-]|\.(?!\.))*"
_KAGGLE = re.compile(rf"({_PART}/{_PART}/keras/{_PART})(?:/([1-9][0-9]{{0,8}}))?", re.IGNORECASE)
_HUGGING_FACE = re.compile(rf"({_PART}/{_PART})(?:@({_PART}(?:/{_PART})*))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_KAGGLE_FORM = "kaggle://owner/model/keras/variation, with /version or without"


class SourceName(StrEnum):
    """Where presets come from over a network."""

    KAGGLE = "kaggle"
    HUGGING_FACE = "huggingface"
    MIRROR = "mirror"


@dataclass(frozen=True)
class Handle:
    """A preset elsewhere: `location` is its place at the source, `revision` what was asked for.

    A revision is a Kaggle version or a Git branch, tag or commit; None is the newest.
    """

    source: SourceName
    location: str
    revision: str | None = None

    @property
    def exact(self) -> bool:
        """Whether the revision can never mean other files."""
        if self.revision is None:
            return False
        return self.source is not SourceName.HUGGING_FACE or bool(_COMMIT.fullmatch(self.revision))

    @property
    def is_on_disk(self) -> bool:
        """Whether it is a mirror on a disk, which needs no network."""
        return self.location.startswith("file://")

    @property
    def unpinned(self) -> Handle:
        """The same preset without a revision."""
        return replace(self, revision=None)

    def __str__(self) -> str:
        if self.source is SourceName.KAGGLE:
            return f"kaggle://{self.location}" + (f"/{self.revision}" if self.revision else "")
        if self.source is SourceName.HUGGING_FACE:
            return f"hf://{self.location}" + (f"@{self.revision}" if self.revision else "")
        return self.location


def parse_handle(text: str) -> Handle | None:
    """Return what `text` means elsewhere, or None where it is the name of something local.

    The name of a built-in preset stands for its Kaggle handle. Raises UsageError for a handle
    that is malformed, and for one with credentials in it.
    """
    builtin = BUILTIN_PRESETS.get(text)
    if builtin is not None:
        text = builtin.kaggle_handle or ""
    scheme, separator, rest = text.partition("://")
    if not separator:
        return None
    scheme = scheme.lower()
    if "@" in rest.partition("/")[0]:
        raise UsageError(
            f"{scheme:.20}://...: there is an @ before the first /, as where credentials stand",
            hint="a handle with credentials would end in logs: they go into the variables of the "
            "hub or the cloud, or into ~/.netrc",
        )
    if scheme == "kaggle":
        return _matched(_KAGGLE, rest, SourceName.KAGGLE, _KAGGLE_FORM)
    if scheme == "hf":
        return _matched(
            _HUGGING_FACE,
            rest,
            SourceName.HUGGING_FACE,
            "hf://owner/name, with @revision or without",
        )
    if scheme in ("https", "http", "s3", "gs", "file"):
        return Handle(SourceName.MIRROR, _mirror_url(f"{scheme}://{rest}"))
    raise UsageError(
        f"{text:.200}: there is no source {scheme:.40}://",
        hint="use kaggle://, hf://, https://, s3://, gs:// or file://",
    )


def with_revision(handle: Handle, revision: str) -> Handle:
    """Return `handle` at `revision`; UsageError where it has another one or cannot have one."""
    if handle.source is SourceName.MIRROR:
        raise UsageError(f"{handle}: a mirror has no revisions", hint="leave --revision out")
    if handle.revision not in (None, revision):
        raise UsageError(f"{handle} and --revision {revision:.80} contradict each other")
    pinned = parse_handle(str(replace(handle, revision=revision)))
    if pinned is None or pinned.revision != revision:
        raise UsageError(f"{revision!r:.80} is not a revision of {handle}")
    return pinned


def _matched(pattern: re.Pattern[str], rest: str, source: SourceName, form: str) -> Handle:
    found = pattern.fullmatch(rest.rstrip("/"))
    if not found:
        raise UsageError(f"{rest!r:.200} is not a handle of {source.value}", hint=f"write {form}")
    return Handle(source, found[1], found[2])


def _mirror_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        host = parts.hostname
    except ValueError as error:
        raise UsageError(f"{text!r:.200} is not an address: {error}") from error
    if parts.query or parts.fragment:
        # Which may be a signature, and is not shown.
        shown = re.split("[?#]", text)[0]
        raise UsageError(f"{shown:.200}: the address of a mirror has no ? or #")
    if not text.isprintable() or ".." in parts.path.split("/") or "\\" in text:
        raise UsageError(f"{text!r:.200} is not the address of a directory")
    if parts.scheme == "http" and host not in _LOOPBACK:
        raise PresetError(f"{text:.200}: plain http can be changed on its way", hint="use https://")
    if parts.scheme == "file" and (host or not parts.path.strip("/")):
        raise UsageError(
            f"{text!r:.200} is not the address of a directory",
            hint="write an absolute path: file:///directory",
        )
    if parts.scheme != "file" and not host:
        raise UsageError(f"{text!r:.200} is not the address of a directory")
    return text.rstrip("/")
