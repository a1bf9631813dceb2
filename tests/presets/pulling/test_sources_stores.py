"""Object stores that say nothing: how long they are waited for, and what ends the wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from fakes.stalled import Stalled
from pyarrow import fs
from running import FNET, clean_env

from fnet_cli.errors import NetworkError, PresetNotFoundError, UsageError
from fnet_cli.patience import interruptible
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.pulling.pull import pull
from fnet_cli.presets.sources.base import Listing, RemoteFile
from fnet_cli.presets.sources.mirror import MirrorSource

SECRET = "s3cr3t-k3y"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "someone",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_EC2_METADATA_DISABLED": "true",
}
ON_S3 = parse_handle("s3://presets/tiny")
SIZE = 10_000_000
# A library's user, who gives up a call and goes on to the end of the program.
_USER = """
import time
from fnet_cli.patience import interruptible
try:
    interruptible(lambda: (print("waiting", flush=True), time.sleep(3600)))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.fixture
def stalled(monkeypatch):
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server = Stalled()
    yield server
    server.stop()


@pytest.fixture
def impatient(settings, stalled):
    address = {"s3_endpoint": stalled.url, "s3_region": "us-east-1"}
    return replace(settings, timeout=1, retries=0, **address)


def test_a_stalled_s3_is_given_up(stalled, impatient):
    began = time.monotonic()
    with pytest.raises(NetworkError) as caught:
        pull(ON_S3, impatient)
    assert time.monotonic() - began < 10
    assert len(stalled.connections) == 1
    assert SECRET not in f"{caught.value}{caught.value.hint}"


def test_s3_is_tried_as_often_as_settings_say(stalled, impatient):
    with pytest.raises(NetworkError):
        pull(ON_S3, replace(impatient, retries=1))
    assert len(stalled.connections) == 2


def test_a_read_that_stalls_is_given_up(stalled, impatient):
    # The same answer to HEAD, which it fits, and to GET, whose body does not come.
    stalled.words = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % SIZE
    file, began = RemoteFile("config.json", size=SIZE), time.monotonic()
    with (
        MirrorSource(impatient).open(ON_S3, Listing("1"), file, 0) as stream,
        pytest.raises(NetworkError) as caught,
    ):
        list(stream.read())
    assert time.monotonic() - began < 20
    assert "is kept" in caught.value.hint


def test_ctrl_c_ends_a_pull_from_a_stalled_s3(stalled, tmp_path):
    env = {**CREDENTIALS, "AWS_ENDPOINT_URL": stalled.url, "AWS_REGION": "us-east-1"}
    command = [*FNET, "presets", "pull", str(ON_S3)]
    env |= {"FNET_TIMEOUT": "600", "FNET_CACHE": str(tmp_path)}
    process = subprocess.Popen(command, env=clean_env(env), stderr=subprocess.PIPE, text=True)
    try:
        until = time.monotonic() + 60
        while not stalled.connections:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("address", ["nonsense", f"ftp://someone:{SECRET}@s3.test", "http://"])
def test_an_address_of_s3_that_is_none(settings, address):
    with pytest.raises(UsageError, match="AWS_ENDPOINT_URL") as caught:
        pull(ON_S3, replace(settings, s3_endpoint=address))
    assert SECRET not in f"{caught.value}{caught.value.hint}"


def made(monkeypatch, name: str, settings, place: str) -> dict[str, object]:
    """Return the options with which a listing makes Arrow's filesystem of that name."""
    seen: dict[str, object] = {}

    def make(**options):
        seen.update(options)
        return fs.LocalFileSystem()

    monkeypatch.setattr(fs, name, make)
    with pytest.raises(PresetNotFoundError):
        MirrorSource(settings).list(parse_handle(place))
    return seen


def test_the_region_of_a_bucket(settings, monkeypatch):
    monkeypatch.setattr(fs, "resolve_s3_region", lambda bucket: f"region-of-{bucket}")
    asked = [
        ({}, "region-of-presets"),
        ({"s3_region": "eu-west-1"}, "region-of-presets"),
        ({"s3_endpoint": "https://s3.test"}, None),
    ]
    for changes, region in asked:
        options = made(monkeypatch, "S3FileSystem", replace(settings, **changes), str(ON_S3))
        assert options["region"] == region


def test_the_address_of_s3_is_split_as_arrow_wants_it(settings, monkeypatch):
    settings = replace(settings, s3_endpoint="http://s3.test:9000/store/", timeout=7)
    options = made(monkeypatch, "S3FileSystem", settings, str(ON_S3))
    assert (options["scheme"], options["endpoint_override"]) == ("http", "s3.test:9000/store")
    assert options["connect_timeout"] == options["request_timeout"] == 7


def test_google_cloud_is_tried_for_as_long_as_settings_say(settings, monkeypatch):
    settings = replace(settings, timeout=2.25, retries=1)
    options = made(monkeypatch, "GcsFileSystem", settings, "gs://presets/tiny")
    assert options["retry_time_limit"].total_seconds() == 5


def test_a_call_that_can_be_interrupted_gives_its_value_or_its_error():
    assert interruptible(lambda: 7) == 7
    assert interruptible(lambda: None) is None
    with pytest.raises(OSError, match="away"):
        interruptible(lambda: (_ for _ in ()).throw(OSError("away")))
    assert interruptible(threading.current_thread) is not threading.current_thread()


def test_a_call_left_behind_keeps_no_program_from_ending():
    process = subprocess.Popen(
        [sys.executable, "-c", _USER], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, said) == (0, "interrupted\n")
