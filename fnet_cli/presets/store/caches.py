"""The caches that presets are kept in: the two clients' own, and one for what has no client.

All three have the same shape to the rest of the store: a preset has a home, the home has a
directory for each revision, and `.fnet` in the home is ours.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from fnet_cli.config import Settings
from fnet_cli.constants import CONFIG_FILE
from fnet_cli.files import replacing
from fnet_cli.presets.fingerprint import file_digest, file_sha256
from fnet_cli.presets.handles import SourceName
from fnet_cli.presets.sources.base import RemoteFile

OWN_DIRECTORY = ".fnet"
_COMMIT = re.compile(r"[0-9a-f]{40}")


class PresetCache(Protocol):
    """Where the presets of one source lie on disk. Methods that write raise OSError."""

    root: Path

    def home(self, location: str) -> Path:
        """Return the directory of a preset, whether or not it is there."""

    def homes(self) -> Iterator[tuple[str, Path]]:
        """Yield (location, home) of everything that may be a preset."""

    def directory(self, location: str, revision: str) -> Path:
        """Return the directory of a revision's files."""

    def revisions(self, location: str) -> list[str]:
        """List the revisions that have files here, the newest last."""

    def meant(self, location: str, requested: str | None) -> str | None:
        """Return the exact revision that `requested` means as far as is known here."""

    def file(self, location: str, revision: str, name: str) -> Path | None:
        """Return the path of a file that the cache's client takes for complete."""

    def claim(self, location: str) -> None:
        """Note, before anything else is written to a home, whose it is."""

    def reuse(self, location: str, revision: str, file: RemoteFile) -> bool:
        """Put a file into its place that another revision has, by the hash that is stated."""

    def publish(self, location: str, revision: str, file: RemoteFile, temporary: Path) -> None:
        """Put a complete file into its place in one step."""

    def settle(self, location: str, revision: str, requested: str | None) -> None:
        """Note, when all files are in place, that `requested` means `revision`."""

    def discard(self, location: str, revision: str) -> None:
        """Remove a revision's files, the config first: without it, none is taken for whole."""


class KaggleCache:
    """kagglehub's: `models/<owner>/<model>/<framework>/<variation>/<version>`.

    Beside the version, `.complete/<version>/<name>.complete` marks a file as complete, and
    `<version>.complete` all of them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def home(self, location: str) -> Path:
        """Return the variation's directory."""
        return self.root / "models" / location

    def homes(self) -> Iterator[tuple[str, Path]]:
        """Yield every variation for Keras."""
        for path in sorted((self.root / "models").glob("*/*/[kK]eras/*")):
            if path.is_dir():
                yield path.relative_to(self.root / "models").as_posix(), path

    def directory(self, location: str, revision: str) -> Path:
        """Return the version's directory."""
        return self.home(location) / revision

    def revisions(self, location: str) -> list[str]:
        """List the versions."""
        names = [path.name for path in _directories(self.home(location))]
        return sorted((name for name in names if name.isdecimal()), key=int)

    def meant(self, location: str, requested: str | None) -> str | None:
        """Return the version asked for, or else the newest that is complete."""
        if requested:
            return requested
        complete = [
            version
            for version in self.revisions(location)
            if self.file(location, version, CONFIG_FILE)
        ]
        return complete[-1] if complete else None

    def file(self, location: str, revision: str, name: str) -> Path | None:
        """Return a file that has a marker."""
        path = self.directory(location, revision) / name
        whole = self.home(location) / f"{revision}.complete"
        marked = self._marker(location, revision, name).is_file() or whole.is_file()
        return path if marked and path.is_file() else None

    def claim(self, location: str) -> None:
        """Do nothing: the place says whose it is."""

    def reuse(self, location: str, revision: str, file: RemoteFile) -> bool:  # noqa: ARG002
        """Find nothing: every version has files of its own."""
        return False

    def publish(self, location: str, revision: str, file: RemoteFile, temporary: Path) -> None:
        """Move a file to its name and mark it."""
        path = self.directory(location, revision) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(path)
        marker = self._marker(location, revision, file.name)
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()

    def settle(self, location: str, revision: str, requested: str | None) -> None:
        """Do nothing: versions have no names."""

    def discard(self, location: str, revision: str) -> None:
        """Remove the version and its markers, the markers first."""
        home = self.home(location)
        (home / revision / CONFIG_FILE).unlink(missing_ok=True)
        (home / f"{revision}.complete").unlink(missing_ok=True)
        for path in (home / ".complete" / revision, home / revision):
            if path.is_dir():
                shutil.rmtree(path)

    def _marker(self, location: str, revision: str, name: str) -> Path:
        return self.home(location) / ".complete" / revision / f"{name}.complete"


class HuggingFaceCache:
    """huggingface_hub's: `models--owner--name/{blobs,refs,snapshots}`, snapshots made of links."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def home(self, location: str) -> Path:
        """Return the repository's directory."""
        return self.root / f"models--{location.replace('/', '--')}"

    def homes(self) -> Iterator[tuple[str, Path]]:
        """Yield every model repository."""
        for path in sorted(self.root.glob("models--*--*")):
            if path.is_dir():
                yield "/".join(path.name.split("--", 2)[1:]), path

    def directory(self, location: str, revision: str) -> Path:
        """Return the commit's snapshot."""
        return self.home(location) / "snapshots" / revision

    def revisions(self, location: str) -> list[str]:
        """List the commits, that of `main` last."""
        names = [path.name for path in _directories(self.home(location) / "snapshots")]
        main = self.meant(location, None)
        commits = filter(_COMMIT.fullmatch, names)
        return sorted(commits, key=lambda name: (name == main, name))

    def meant(self, location: str, requested: str | None) -> str | None:
        """Return the commit that a branch or tag meant when it was last fetched."""
        if requested and _COMMIT.fullmatch(requested):
            return requested
        try:
            commit = self._ref(location, requested).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None
        return commit if _COMMIT.fullmatch(commit) else None

    def file(self, location: str, revision: str, name: str) -> Path | None:
        """Return a file of the snapshot; a link must stay in the cache, where the blobs are."""
        path = self.directory(location, revision) / name
        if not path.is_file():
            return None
        if path.is_symlink() and not path.resolve().is_relative_to(self.root.resolve()):
            return None
        return path

    def claim(self, location: str) -> None:
        """Do nothing: the place says whose it is."""

    def reuse(self, location: str, revision: str, file: RemoteFile) -> bool:
        """Link the blob that the hash names, if it is here and whole."""
        kind = "sha256" if file.sha256 else "git_sha1"
        name = file.sha256 or file.git_sha1
        blob = self.home(location) / "blobs" / (name or "")
        if not name or not blob.is_file() or file_digest(blob, kind) != name:
            return False
        self._link(blob, self.directory(location, revision) / file.name)
        return True

    def publish(self, location: str, revision: str, file: RemoteFile, temporary: Path) -> None:
        """Move a file to its blob, which its hash names, and link it into the snapshot."""
        # Servers that only resemble the Hub may state no hash; the client follows any link.
        name = file.sha256 or file.git_sha1 or file_sha256(temporary)
        blob = self.home(location) / "blobs" / name
        blob.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(blob)
        self._link(blob, self.directory(location, revision) / file.name)

    def _link(self, blob: Path, link: Path) -> None:
        link.parent.mkdir(parents=True, exist_ok=True)
        if link.is_file() and link.samefile(blob):
            return
        new = link.with_name(f".{link.name}.{secrets.token_hex(6)}.link")
        try:
            new.symlink_to(os.path.relpath(blob, link.parent))
        except OSError:  # a file system without links: the client keeps files there, too
            blob.replace(link)
        else:
            new.replace(link)

    def settle(self, location: str, revision: str, requested: str | None) -> None:
        """Let a branch or tag mean this commit; `main` where none was asked for."""
        if requested and _COMMIT.fullmatch(requested):
            return
        path = self._ref(location, requested)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The client takes every file among the refs for one, so the new one begins elsewhere.
        new = self.home(location) / OWN_DIRECTORY / f"ref.{secrets.token_hex(6)}"
        new.parent.mkdir(exist_ok=True)
        new.write_text(revision, encoding="ascii")
        new.replace(path)

    def discard(self, location: str, revision: str) -> None:
        """Remove a commit, the names that mean it, and the blobs that no other commit has.

        The client would look at the whole cache, and leave a repository that lacks a blob alone.
        """
        home, snapshot = self.home(location), self.directory(location, revision)
        blobs = _blobs_of(snapshot)
        (snapshot / CONFIG_FILE).unlink(missing_ok=True)
        for path in (snapshot, home / ".no_exist" / revision):
            if path.is_dir():
                shutil.rmtree(path)
        for blob in blobs - _blobs_of(home / "snapshots"):
            if blob.parent == (home / "blobs").resolve():
                blob.unlink(missing_ok=True)
        for ref in (home / "refs").rglob("*"):
            if ref.is_file() and ref.read_bytes().strip() == revision.encode():
                ref.unlink()
        (home / "trees" / f"{revision}.json").unlink(missing_ok=True)
        for name in ("snapshots", "blobs", "refs", ".no_exist", "trees"):
            with suppress(OSError):  # not there, or not empty
                (home / name).rmdir()

    def _ref(self, location: str, requested: str | None) -> Path:
        return self.home(location) / "refs" / (requested or "main")


class OwnCache:
    """Ours, for mirrors: `mirrors/<end of the address>-<digest>/<revision>`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def home(self, location: str) -> Path:
        """Return the mirror's directory."""
        digest = hashlib.sha256(location.encode()).hexdigest()[:12]
        end = re.sub(r"[^A-Za-z0-9_.\-]", "_", location.rpartition("/")[2]).lstrip(".")
        return self.root / "mirrors" / f"{end[:80]}-{digest}"

    def homes(self) -> Iterator[tuple[str, Path]]:
        """Yield every mirror; its address stands in a file of its home."""
        for path in sorted((self.root / "mirrors").glob(f"*/{OWN_DIRECTORY}/address")):
            try:
                yield path.read_text(encoding="utf-8"), path.parent.parent
            except (OSError, ValueError):
                continue

    def directory(self, location: str, revision: str) -> Path:
        """Return the revision's directory."""
        return self.home(location) / revision

    def revisions(self, location: str) -> list[str]:
        """List the revisions, the one that was fetched last at the end."""
        found = _directories(self.home(location))
        found = [path for path in found if not path.name.startswith(".")]
        return [path.name for path in sorted(found, key=lambda path: path.stat().st_mtime_ns)]

    def meant(self, location: str, requested: str | None) -> str | None:
        """Return the revision that was pulled last."""
        if requested:
            return requested
        try:
            return self._latest(location).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return None

    def file(self, location: str, revision: str, name: str) -> Path | None:
        """Return a file: a name here only ever holds a complete one."""
        path = self.directory(location, revision) / name
        return path if path.is_file() and not path.is_symlink() else None

    def claim(self, location: str) -> None:
        """Note the address, by which interrupted pulls are found, too."""
        path = self.home(location) / OWN_DIRECTORY / "address"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(location, encoding="utf-8")

    def reuse(self, location: str, revision: str, file: RemoteFile) -> bool:  # noqa: ARG002
        """Find nothing: every revision has files of its own."""
        return False

    def publish(self, location: str, revision: str, file: RemoteFile, temporary: Path) -> None:
        """Move a file to its name."""
        path = self.directory(location, revision) / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.replace(path)

    def settle(self, location: str, revision: str, requested: str | None) -> None:  # noqa: ARG002
        """Note which revision is the newest."""
        self.claim(location)
        with replacing(self._latest(location)) as temporary:
            temporary.write_text(revision, encoding="utf-8")

    def discard(self, location: str, revision: str) -> None:
        """Remove a revision."""
        directory = self.directory(location, revision)
        (directory / CONFIG_FILE).unlink(missing_ok=True)
        if directory.is_dir():
            shutil.rmtree(directory)

    def _latest(self, location: str) -> Path:
        return self.home(location) / OWN_DIRECTORY / "latest"


def cache_of(source: SourceName, settings: Settings) -> PresetCache:
    """Return the cache that presets of `source` are kept in."""
    match source:
        case SourceName.KAGGLE:
            return KaggleCache(settings.kaggle_cache)
        case SourceName.HUGGING_FACE:
            return HuggingFaceCache(settings.huggingface_cache)
        case SourceName.MIRROR:
            return OwnCache(settings.own_cache)


def _blobs_of(directory: Path) -> set[Path]:
    return {path.resolve() for path in directory.rglob("*") if path.is_symlink()}


def _directories(path: Path) -> list[Path]:
    try:
        return [entry for entry in path.iterdir() if entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
