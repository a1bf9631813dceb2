"""Mirrors on Google Cloud Storage, read by the program from a fake in another process."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import add_vocabulary, vocabulary, write_preset
from fakes import faults
from fakes.content import files_under
from fakes.google import SECRETS, FakeGoogle
from pulls import WEIGHTS, read_files
from running import FNET, clean_env, run_fnet
from scene import refusal, wait_until

from fnet_cli.backbone.config import BackboneConfig

ADDRESS = "gs://presets/models/some"
# Its weights are more than the 4 MiB that are read at a time.
CONFIG = BackboneConfig(60_000, 1, 32, 64, max_sequence_length=40)
CHUNK = 4 * 1024 * 1024
STALL = 6_000_000


@dataclass
class User:
    """Somebody with a cache under `root`, with credentials, and with the bucket within reach."""

    root: Path
    google: FakeGoogle

    @property
    def env(self) -> dict[str, str]:
        # A patience of a second; what stalls is waited for by Google's client, much longer.
        own = {"FNET_CACHE": str(self.cache), "FNET_TIMEOUT": "1", "FNET_RETRIES": "0"}
        return {**own, "no_proxy": "127.0.0.1", **self.google.variables(self.root)}

    @property
    def cache(self) -> Path:
        return self.root / "fnet"

    def fnet(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        ran = run_fnet(*arguments, env={**self.env, **env})
        assert not any(secret in ran.stdout + ran.stderr for secret in SECRETS)
        return ran

    def pull(self, address: str = ADDRESS, **env: str) -> subprocess.CompletedProcess[str]:
        return self.fnet("presets", "pull", address, **env)

    def interrupt(self) -> None:
        """Start a pull, and press Ctrl-C once it waits for what the server holds back."""
        with self._started() as process:
            wait_until(lambda: any(one.fault for one in self.google.requests()))
            # Long enough for what is on its way to be taken, and for the wait to begin.
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
        assert process.returncode == 130
        assert "interrupted" in said
        assert "Traceback" not in said

    def interrupt_halfway(self) -> None:
        """Leave the first chunk of the weights in the cache."""
        self.google.set_faults(faults.stall(at=STALL, match=WEIGHTS))
        self.interrupt()
        self.google.set_faults()
        self.google.forget()
        assert CHUNK in [path.stat().st_size for path in self.cache.rglob("*")]

    def ranges(self) -> list[str | None]:
        """Return the ranges that were asked for of the weights."""
        asked = [one for one in self.google.requests("media") if one.file.endswith(WEIGHTS)]
        return [request.headers.get("range") for request in asked]

    @contextmanager
    def _started(self) -> Iterator[subprocess.Popen[str]]:
        command = [*FNET, "presets", "pull", ADDRESS]
        process = subprocess.Popen(
            command, env=clean_env(self.env), stderr=subprocess.PIPE, text=True
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("google") / "some"
    write_preset(directory, CONFIG)
    add_vocabulary(directory, vocabulary())
    return directory


@pytest.fixture(scope="module")
def bucket(preset) -> Iterator[FakeGoogle]:
    objects = {f"models/some/{name}": path for name, path in files_under(preset).items()}
    with FakeGoogle("presets", {**objects, "models/other/README.md": b"# None"}) as google:
        yield google


@pytest.fixture
def user(bucket, tmp_path) -> User:
    bucket.set_faults()
    bucket.forget()
    return User(tmp_path, bucket)


def check_whole(user: User, preset: Path) -> None:
    """Require that the preset is here, byte by byte, and that the program says so."""
    directory = user.fnet("presets", "path", ADDRESS).stdout.strip()
    assert read_files(Path(directory)) == read_files(preset)
    (row,) = json.loads(user.fnet("presets", "list", "--cached", "--json").stdout)
    assert (row["name"], row["source"], row["state"]) == (ADDRESS, "mirror", "pulled")
    verified = user.fnet("presets", "verify", ADDRESS)
    assert (verified.returncode, "\tok\t" in verified.stdout) == (0, True)


def test_a_preset_is_pulled_whole(user, preset):
    pulled = user.pull()
    assert (pulled.returncode, pulled.stdout) == (0, ""), pulled.stderr
    check_whole(user, preset)
    # No file is asked for twice, and none in parts.
    asked = sorted(request.file for request in user.google.requests("media"))
    assert asked == [f"models/some/{name}" for name in sorted(files_under(preset))]
    assert user.ranges() == [None]
    user.google.forget()
    assert "is here, and whole" in user.pull().stderr
    assert user.google.requests("media") == []


def test_an_interrupted_pull_goes_on_from_the_bytes_it_had(user, preset):
    user.interrupt_halfway()
    pulled = user.pull()
    assert pulled.returncode == 0, pulled.stderr
    assert user.ranges()[-1] == f"bytes={CHUNK}-"
    check_whole(user, preset)


def test_a_connection_that_is_cut_is_taken_up_again(user, preset):
    user.google.set_faults(faults.cut(at=STALL, match=WEIGHTS, times=1))
    pulled = user.pull()
    assert pulled.returncode == 0, pulled.stderr
    assert user.ranges() == [None, f"bytes={CHUNK}-"]
    check_whole(user, preset)


@pytest.mark.parametrize("match", ["token", "list", WEIGHTS])
def test_ctrl_c_ends_the_wait_for_an_answer(user, match):
    user.google.set_faults(faults.stall(at=None, match=match))
    user.interrupt()


def test_ctrl_c_ends_the_wait_of_a_pull_that_goes_on(user):
    user.interrupt_halfway()
    user.google.set_faults(faults.stall(at=None, match=WEIGHTS))
    user.interrupt()


@pytest.mark.parametrize("address", ["gs://presets/none", "gs://presets/models/som", "gs://none/a"])
def test_no_directory_of_that_name(user, address):
    ran = user.pull(address)
    error, hint = refusal(ran)
    assert (ran.returncode, address in error, "config.json" in hint) == (4, True, True)


def test_a_directory_without_a_preset(user):
    ran = user.pull("gs://presets/models/other")
    assert ran.returncode == 4, ran.stderr
    assert "config.json" in refusal(ran)[0]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("match", ["list", WEIGHTS])
def test_access_that_is_refused(user, match, status):
    user.google.set_faults(faults.status(status, match=match))
    ran = user.pull()
    assert ran.returncode == 5
    assert f"fnet: error: {ADDRESS}" in ran.stderr
    assert "access is refused\nfnet: hint: check the address and the credentials" in ran.stderr


def test_access_that_is_refused_to_a_pull_that_goes_on(user):
    user.interrupt_halfway()
    user.google.set_faults(faults.status(403, match=WEIGHTS))
    ran = user.pull()
    assert (ran.returncode, "access is refused" in ran.stderr) == (5, True)


def test_a_file_that_has_gone_since_it_was_listed(user):
    user.google.set_faults(faults.status(404, match=WEIGHTS))
    ran = user.pull()
    assert (ran.returncode, f"{ADDRESS}/{WEIGHTS}: there is no" in ran.stderr) == (4, True)


@pytest.mark.parametrize("match", ["list", WEIGHTS])
def test_a_store_that_is_overloaded(user, match):
    user.google.set_faults(faults.status(503, match=match))
    ran = user.pull()
    assert (ran.returncode, "error page 503" in ran.stderr) == (5, True)
    assert "error_info" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_credentials_of_no_use(user):
    user.google.set_faults(faults.status(400, match="token"))
    for env in ({}, {"GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent/credentials.json"}):
        ran = user.pull(**env)
        error, hint = refusal(ran)
        assert (ran.returncode, ADDRESS in error, "credentials" in hint) == (5, True, True)
