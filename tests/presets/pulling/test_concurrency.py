"""Several pulls of one preset at once, and locks that work, are left behind, or do nothing."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fakes import faults
from pulls import WEIGHTS, Hub, end_pull, start_pull

from fnet_cli.errors import NetworkError
from fnet_cli.presets.pulling import pull as pulling
from fnet_cli.presets.pulling.events import Waiting

UNLOCKED = """
import contextlib
pulling._alone = lambda preset, options: contextlib.nullcontext()
"""


@pytest.fixture(params=["kaggle-redirect", "huggingface"])
def hub(request, serving, keras_files) -> Hub:
    return serving(request.param, keras_files)


def test_of_two_pulls_one_downloads_and_the_other_waits(hub: Hub):
    hub.server.faults.append(faults.slow(rate=60_000, match=WEIGHTS))
    first, second = start_pull(hub), start_pull(hub)
    said = [end_pull(first), end_pull(second)]
    assert len(hub.requests(WEIGHTS)) == 1
    waited = [one for one in said if "Waiting" in one["events"]]
    assert len(waited) == 1
    assert waited[0]["fetched"] == []
    assert sorted(len(one["fetched"]) for one in said) == [0, len(hub.files)]
    assert hub.pull(hub.exact).fetched == []


def test_waiting_names_the_process(hub: Hub):
    hub.server.faults.append(faults.stall(at=20_000, match=WEIGHTS, times=1, seconds=1))
    process = start_pull(hub, tell=True)
    next(line for line in process.stdout if WEIGHTS in line)
    assert hub.pull().fetched == []
    (waiting,) = (event for event in hub.events if isinstance(event, Waiting))
    assert waiting == Waiting(str(hub.exact), f"process {process.pid}")
    end_pull(process)


def test_a_branch_that_was_waited_for_is_remembered(serving, keras_files, monkeypatch):
    hub = serving("huggingface", keras_files)
    alone = pulling._alone

    @contextlib.contextmanager
    def pulled_meanwhile(preset, options):
        monkeypatch.setattr(pulling, "_alone", alone)
        hub.pull(hub.exact)  # which is not asked for under the name of `main`
        assert hub.here() is None
        with alone(preset, options):
            yield

    monkeypatch.setattr(pulling, "_alone", pulled_meanwhile)
    assert hub.pull().fetched == []
    assert hub.here() == hub.exact


def test_the_lock_of_a_dead_process_is_taken_over(hub: Hub):
    hub.server.faults.append(faults.stall(at=20_000, match=WEIGHTS, times=1))
    process = start_pull(hub, tell=True)
    next(line for line in process.stdout if WEIGHTS in line)
    process.kill()
    process.communicate()
    assert list(hub.home.glob(".fnet/*.lock"))
    started = time.monotonic()
    hub.check(hub.pull())
    assert time.monotonic() - started < 5
    assert not list(hub.home.glob(".fnet/*.lock"))


def test_a_failed_pull_leaves_no_lock(hub: Hub):
    hub.server.faults.append(faults.status(500, match=WEIGHTS))
    with pytest.raises(NetworkError):
        hub.pull()
    assert not list(hub.home.glob(".fnet/*.lock"))


def test_without_a_lock_two_processes_get_the_right_files(hub: Hub):
    hub.server.faults.append(faults.slow(rate=200_000, match=WEIGHTS))
    running = [start_pull(hub, first=UNLOCKED) for _ in range(2)]
    said = [end_pull(process) for process in running]
    assert not [one for one in said if "error" in one]
    assert len(hub.requests(WEIGHTS)) >= 2
    again = hub.pull(hub.exact)
    assert again.fetched == []
    for name, content in hub.files.items():
        assert again.preset.file(name).read_bytes() == content


def test_without_a_lock_two_threads_get_the_right_files(hub: Hub, monkeypatch):
    monkeypatch.setattr(pulling, "_alone", lambda *_: contextlib.nullcontext())
    hub.server.faults.append(faults.slow(rate=400_000, match=WEIGHTS))
    with ThreadPoolExecutor(3) as threads:
        running = [threads.submit(pulling.pull, hub.handle, hub.settings) for _ in range(3)]
    assert [WEIGHTS in one.result().fetched for one in running] == [True] * 3
    hub.check(hub.pull(hub.exact))


def test_an_unlocked_pull_takes_nothing_from_a_running_one(hub: Hub):
    hub.server.faults.append(faults.stall(at=30_000, match=WEIGHTS, times=1, seconds=1.5))
    process = start_pull(hub, tell=True)
    next(line for line in process.stdout if WEIGHTS in line)
    while not any(path.stat().st_size for path in hub.partials()):
        assert process.poll() is None
    other = start_pull(hub, first=UNLOCKED)
    assert "error" not in end_pull(other)
    said = end_pull(process)
    assert WEIGHTS in said["fetched"]
    hub.check(hub.pull(hub.exact))


def test_a_lock_of_another_machine_is_taken_over_when_it_is_still(hub: Hub, monkeypatch):
    monkeypatch.setattr(pulling, "LOCK_LEASE_SECONDS", 0.5)
    code = (
        "import os, sys, socket; socket.gethostname = lambda: 'elsewhere'\n"
        "from filelock import SoftFileLease\n"
        "os.makedirs(os.path.dirname(sys.argv[1]))\n"
        "lease = SoftFileLease(sys.argv[1], lease_duration=0.5)\n"
        "lease.acquire(); os._exit(0)"
    )
    path = hub.home / ".fnet" / f"{hub.revision}.lock"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.exists()
    hub.check(hub.pull())
    assert not path.exists()
