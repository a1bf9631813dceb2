"""A preset on a loopback hub, and what the hub's own client has of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import kagglehub
from builders import TINY, random_tensors, vocabulary
from fakes.answers import Request
from fakes.huggingface import FakeHub, Repo, commit_of
from fakes.kaggle import FakeKaggle
from fakes.server import LoopbackServer
from running import clean_env

from fnet_cli.config import Settings
from fnet_cli.presets.handles import Handle, parse_handle
from fnet_cli.presets.layouts import LAYOUTS
from fnet_cli.presets.layouts.base import PresetContent
from fnet_cli.presets.pulling.events import Event
from fnet_cli.presets.pulling.partial import partial_files
from fnet_cli.presets.pulling.pull import Pulled, PullOptions, pull
from fnet_cli.presets.store.cached import all_cached, find_cached
from fnet_cli.presets.store.caches import PresetCache, cache_of

HUBS = ("kaggle-redirect", "kaggle-direct", "huggingface")
WEIGHTS = "model.weights.h5"
KAGGLE_LOCATION = "acme/f_net/keras/tiny"
REPO = "acme/f-net-tiny"
# What else lies beside a preset, and is nobody's business.
STRANGERS = {"README.md": b"# A model", "task.json": b"{}", "train.py": b"import os", ".x": b"x"}
Files = Mapping[str, bytes]


def preset_files(directory: Path, format_name: str = "keras") -> dict[str, bytes]:
    """Write a preset with a vocabulary and return its files."""
    layout = next(layout for layout in LAYOUTS if layout.name == format_name)
    directory.mkdir()
    layout.write(directory, PresetContent(TINY, "float32", random_tensors(TINY), vocabulary()))
    return read_files(directory)


def read_files(directory: Path) -> dict[str, bytes]:
    """Return all files under a directory, those that links lead to included."""
    paths = sorted(path for path in directory.rglob("*") if path.is_file())
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in paths}


@dataclass
class Hub:
    """One preset on a fake hub. `handle` has no revision, `revision` is the newest."""

    kind: str
    server: FakeKaggle | FakeHub
    settings: Settings
    files: dict[str, bytes]
    events: list[Event] = field(default_factory=list)

    @property
    def is_kaggle(self) -> bool:
        return self.kind.startswith("kaggle")

    @property
    def handle(self) -> Handle:
        text = f"kaggle://{KAGGLE_LOCATION}" if self.is_kaggle else f"hf://{REPO}"
        return parse_handle(text)

    @property
    def revision(self) -> str:
        return "1" if self.is_kaggle else commit_of({**self.files, **STRANGERS})

    @property
    def exact(self) -> Handle:
        return replace(self.handle, revision=self.revision)

    def publish(self, files: Files) -> None:
        """Let the hub have these files, as version 1 or as the newest commit."""
        self.files = dict(files)
        served = {**files, **STRANGERS}
        if self.is_kaggle:
            self.server.publish(KAGGLE_LOCATION, 1, served)
        else:
            self.server.repos[REPO].commit(served)

    def pull(self, handle: Handle | None = None, **options: Any) -> Pulled:
        """Pull, and keep the events."""
        self.events.clear()
        chosen = PullOptions(on_event=self.events.append, **options)
        return pull(handle or self.handle, self.settings, chosen)

    def here(self, handle: Handle | None = None) -> Handle | None:
        """Return the exact handle of the preset that is on this machine."""
        found = find_cached(handle or self.handle, self.settings)
        return found and found.handle

    def is_recorded(self) -> bool:
        return any(preset.manifest_path.exists() for preset in all_cached(self.settings))

    def listed(self) -> list[str]:
        return [str(preset.handle) for preset in all_cached(self.settings)]

    @property
    def cache(self) -> PresetCache:
        return cache_of(self.handle.source, self.settings)

    @property
    def home(self) -> Path:
        return self.cache.home(self.handle.location)

    def partials(self) -> list[Path]:
        return partial_files(self.home)

    def requests(self, name: str = "") -> list[Request]:
        """Return the requests for the bytes of a file, whichever server had them."""
        servers: list[LoopbackServer] = [self.server, *self.server.behind]
        asked = [request for server in servers for request in server.requests]
        redirected = self.server.redirect and (self.is_kaggle or name in (WEIGHTS, "*.spm"))
        here = self.server.storage.requests if redirected else asked
        return [request for request in here if request.file and request.file.endswith(name)]

    def forget_requests(self) -> None:
        for server in (self.server, *self.server.behind):
            server.requests.clear()

    def by_client(self, name: str, *, offline: bool = False) -> bytes:
        """Return a file that the hub's own client finds, or fetches."""
        if self.is_kaggle:
            found = kagglehub.model_download(f"{KAGGLE_LOCATION}/1", path=name)
        else:
            found = huggingface_hub.hf_hub_download(
                REPO, name, cache_dir=self.settings.huggingface_cache, local_files_only=offline
            )
        return Path(found).read_bytes()

    def check(self, pulled: Pulled) -> None:
        """Require that the preset is here, recorded, and is what the hub has."""
        assert {file.name for file in pulled.manifest.files} == set(self.files)
        assert read_files(pulled.preset.directory) == self.files
        assert pulled.preset.manifest == pulled.manifest
        assert self.here(pulled.preset.handle) == pulled.preset.handle
        assert not self.partials()


@contextmanager
def serve(kind: str, files: Files, settings: Settings) -> Iterator[Hub]:
    """Serve a preset from a fake hub."""
    served = {**files, **STRANGERS}
    server: FakeKaggle | FakeHub
    if kind.startswith("kaggle"):
        redirect = kind.endswith("redirect")
        server = FakeKaggle({KAGGLE_LOCATION: {1: served}}, redirect=redirect)
        settings = replace(settings, kaggle_endpoint=server.url)
    else:
        server = FakeHub({REPO: Repo.of(served)})
    with server:
        yield Hub(kind, server, settings, dict(files))


def settings_under(directory: Path) -> Settings:
    return Settings(
        own_cache=directory / "own",
        kaggle_cache=directory / "kaggle",
        huggingface_cache=directory / "hf",
        timeout=2,
        retries=2,
    )


class Pauses(list):
    """The pauses between tries, which no test waits for."""

    def clock(self) -> SimpleNamespace:
        return SimpleNamespace(sleep=self.append)


_CHILD = """
import json, sys
from pathlib import Path
from fnet_cli.config import Settings
from fnet_cli.errors import FnetError
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.pulling import pull as pulling
given = json.loads(sys.argv[1])
exec(given["first"])
paths = {name: Path(path) for name, path in given["paths"].items()}
settings = Settings(**paths, **given["options"])
events = []
def hear(event):
    events.append(type(event).__name__)
    if given["tell"]:
        print(event, flush=True)
options = pulling.PullOptions(on_event=hear)
try:
    pulled = pulling.pull(parse_handle(given["handle"]), settings, options)
    print(json.dumps({"fetched": pulled.fetched, "events": events}))
except FnetError as error:
    print(json.dumps({"error": type(error).__name__, "message": str(error), "events": events}))
"""


def start_pull(hub: Hub, *, first: str = "", tell: bool = False) -> subprocess.Popen[str]:
    """Pull in a process of its own; `first` is code that runs before, `tell` prints events."""
    settings = hub.settings
    given = {
        "handle": str(hub.handle),
        "first": first,
        "tell": tell,
        "paths": {
            name: str(getattr(settings, name))
            for name in ("own_cache", "kaggle_cache", "huggingface_cache")
        },
        "options": {
            name: getattr(settings, name) for name in ("timeout", "retries", "kaggle_endpoint")
        },
    }
    env = clean_env({} if hub.is_kaggle else {"HF_ENDPOINT": hub.server.url})
    command = [sys.executable, "-c", _CHILD, json.dumps(given)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)


def end_pull(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Wait for a pull of `start_pull` and return what it said at its end."""
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0, output
    return json.loads(output.splitlines()[-1])
