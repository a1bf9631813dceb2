"""A user's machine in a temporary directory, and the loopback hubs that it reaches."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.content import files_under
from fakes.huggingface import FakeHub, Repo
from fakes.kaggle import FakeKaggle
from fakes.server import LoopbackServer
from running import FNET, clean_env, run_fnet

from fnet_cli.config import Settings
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.store.cached import find_cached

WEIGHTS = "model.weights.h5"
VOCABULARY = "assets/tokenizer/vocabulary.spm"
ON_KAGGLE = "kaggle://owner/model/keras/tiny"
LARGE_ON_KAGGLE = "kaggle://owner/model/keras/large"
ON_HUB = "hf://owner/tiny"
LARGE_ON_HUB = "hf://owner/large"
BOTH = [ON_KAGGLE, ON_HUB]
# What makes `socket` refuse every connection in a process that has this on its path.
_SHUT_SOCKETS = """
import os, socket
def refuse(*arguments, **options):
    with open({canary!r}, "a") as file:
        file.write(repr(arguments) + "\\n")
    raise OSError("the sockets are shut")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = refuse
socket.getaddrinfo = refuse
"""


@dataclass
class Scene:
    """One user: caches, a config file and a home under `root`, and two hubs within reach."""

    root: Path
    kaggle: FakeKaggle
    hub: FakeHub
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        places = {
            "KAGGLEHUB_CACHE": "kagglehub",
            "HF_HOME": "huggingface",
            "FNET_CACHE": "fnet",
            "FNET_CONFIG": "config/fnet.toml",
            "HOME": "home",
        }
        limits = {"FNET_TIMEOUT": "5", "FNET_RETRIES": "0", "HF_HUB_DISABLE_XET": "1"}
        hubs = {"KAGGLE_API_ENDPOINT": self.kaggle.url, "HF_ENDPOINT": self.hub.url}
        own = {name: str(self.root / place) for name, place in places.items()}
        self.env = {**own, **limits, **hubs, **self.env}

    def fnet(self, *arguments: object, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end; `env` is added to the user's."""
        return run_fnet(*arguments, env={**self.env, **env}, cwd=self.root)

    def ok(self, *arguments: object, **env: str) -> str:
        """Run the program, which must end well, and return what it printed."""
        ran = self.fnet(*arguments, **env)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    def pull(self, *arguments: object, **env: str) -> str:
        """Pull what must arrive, and return the log."""
        ran = self.fnet("presets", "pull", *arguments, **env)
        assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr
        return ran.stderr

    @contextmanager
    def started(self, *arguments: object, **env: str) -> Iterator[subprocess.Popen[str]]:
        """Start the program; it does not outlive the body."""
        process = subprocess.Popen(
            [*FNET, *map(str, arguments)],
            env=clean_env({**self.env, **env}),
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

    def listed(self, *arguments: object) -> list[dict[str, Any]]:
        """Return the rows of what is in the caches."""
        return json.loads(self.ok("presets", "list", "--cached", "--json", *arguments))

    def states(self) -> list[str]:
        return [row["state"] for row in self.listed()]

    def directory(self, name: str) -> Path:
        """Return the directory of a preset that is here, as the program would use it."""
        handle = parse_handle(name)
        assert handle
        found = find_cached(handle, Settings.from_env(self.env))
        assert found, f"{name} is not here"
        return found.directory

    def server_of(self, handle: str) -> FakeKaggle | FakeHub:
        return self.kaggle if handle.startswith("kaggle") else self.hub

    def fetched(self, handle: str) -> list[str]:
        """List the files whose bytes were asked for, each as often as it was."""
        server = self.server_of(handle)
        answers = [*server.requests, *server.storage.requests]
        # A large file is asked for twice: here, which redirects, and there.
        large = {request.file for request in server.storage.requests}
        return sorted(
            request.file
            for request in answers
            if request.file and not (request in server.requests and request.file in large)
        )

    def forget(self) -> None:
        """Empty the servers' logs."""
        for server in self._servers():
            server.requests.clear()

    def stop(self) -> None:
        """Take the hubs away."""
        self.kaggle.stop()
        self.hub.stop()

    @property
    def canary(self) -> Path:
        """The file that tells of each process that tries to connect with its sockets shut."""
        return self.root / "connections"

    def shut_sockets(self) -> None:
        """Let no process of this user connect."""
        modules = self.root / "modules"
        modules.mkdir()
        code = _SHUT_SOCKETS.format(canary=str(self.canary))
        (modules / "sitecustomize.py").write_text(code)
        self.env["PYTHONPATH"] = os.pathsep.join(
            [str(modules), *filter(None, [os.environ.get("PYTHONPATH")])]
        )

    def traces(self) -> list[str]:
        """List every file under the user's caches."""
        places = [self.root / name for name in ("kagglehub", "huggingface", "fnet")]
        return sorted(
            str(path.relative_to(self.root))
            for place in places
            for path in place.rglob("*")
            if path.is_file()
        )

    def _servers(self) -> list[LoopbackServer]:
        return [self.kaggle, self.kaggle.storage, self.hub, self.hub.storage]


def new_scene(root: Path, tiny: Path, large: Path, env: Mapping[str, str] | None = None) -> Scene:
    """Return a scene whose hubs have the presets in two directories."""
    small, big = files_under(tiny), files_under(large)
    models = {"owner/model/keras/tiny": {1: small}, "owner/model/keras/large": {1: big}}
    repos = {"owner/tiny": Repo.of(small), "owner/large": Repo.of(big)}
    root.mkdir(parents=True, exist_ok=True)
    return Scene(root, FakeKaggle(models), FakeHub(repos), dict(env or {}))


def copy_caches(source: Scene, target: Scene) -> None:
    """Give one user what another one has pulled."""
    for name in ("kagglehub", "huggingface", "fnet"):
        if (source.root / name).exists():
            shutil.copytree(source.root / name, target.root / name, symlinks=True)


def wait_until(happened: Callable[[], Any], seconds: float = 30) -> Any:
    """Return what `happened` returns once it is true."""
    until = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return found


def contents_of(directory: Path) -> dict[str, bytes]:
    """Return the bytes of the files under a directory, links followed."""
    files = [path for path in directory.rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def refusal(ran: subprocess.CompletedProcess[str]) -> tuple[str, str]:
    """Return the error and the hint, which may be empty, of a run that was refused as it should be.

    Nothing is on standard output, and one line each says what is wrong and what to do.
    """
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    assert ran.stderr.count("fnet: error: ") == 1
    assert ran.stderr.count("fnet: hint: ") <= 1
    _, _, said = ran.stderr.partition("fnet: error: ")
    error, _, rest = said.partition("\n")
    assert rest == "" or rest.startswith("fnet: hint: ")
    assert rest.count("\n") <= 1
    return error, rest.removeprefix("fnet: hint: ").removesuffix("\n")
