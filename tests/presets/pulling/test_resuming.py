"""A pull that was interrupted goes on from the bytes it had."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from fakes import faults
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pulls import WEIGHTS, Hub, end_pull, settings_under, start_pull

from fnet_cli.errors import NetworkError
from fnet_cli.presets.pulling.partial import is_abandoned


def interrupt(hub: Hub, at: int) -> Path | None:
    """Pull until `at` bytes of the weights are here, and return the partial file."""
    hub.server.faults += [
        faults.cut(at=at, match=WEIGHTS, times=1),
        faults.status(500, match=WEIGHTS),
    ]
    with pytest.raises(NetworkError):
        hub.pull()
    hub.server.faults.clear()
    hub.forget_requests()
    assert not hub.is_recorded()
    assert hub.here() is None
    left = hub.partials()
    assert [path.stat().st_size for path in left] == ([at] if at else [])
    return left[0] if left else None


def of_process(path: Path, pid: int) -> Path:
    """Give a partial file to another process."""
    parts = path.name.split(".")
    parts[2] = str(pid)
    return path.rename(path.with_name(".".join(parts)))


def dead_pid() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fraction=st.floats(0, 1, exclude_max=True))
def test_a_later_pull_asks_for_the_rest_only(hub: Hub, fraction):
    with tempfile.TemporaryDirectory() as directory:
        caches = settings_under(Path(directory))
        hub.settings = replace(caches, kaggle_endpoint=hub.settings.kaggle_endpoint)
        at = int(fraction * len(hub.files[WEIGHTS]))
        interrupt(hub, at)
        pulled = hub.pull()
        hub.check(pulled)
        # What had been completed before is not fetched again either.
        assert WEIGHTS in pulled.fetched
        asked = [request.headers.get("range") for request in hub.requests(WEIGHTS)]
        assert asked[-1] == (f"bytes={at}-" if at else None)
        assert "config.json" not in pulled.fetched


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.lists(st.integers(0, 30_000), min_size=1, max_size=3))
def test_cuts_anywhere_leave_the_right_bytes(hub: Hub, cuts):
    with tempfile.TemporaryDirectory() as directory:
        caches = settings_under(Path(directory))
        caches = replace(caches, retries=5)
        hub.settings = replace(caches, kaggle_endpoint=hub.settings.kaggle_endpoint)
        hub.server.faults[:] = [faults.cut(at=at, times=1) for at in cuts]
        hub.check(hub.pull())
        hub.server.faults.clear()


def test_what_a_dead_process_has_left_is_taken_over(hub: Hub):
    left = of_process(interrupt(hub, 5000), dead_pid())
    assert is_abandoned(left)
    hub.check(hub.pull())
    assert hub.requests(WEIGHTS)[-1].headers["range"] == "bytes=5000-"
    assert not left.exists()


def test_a_living_process_keeps_its_file(hub: Hub):
    left = of_process(interrupt(hub, 5000), os.getppid())
    assert not is_abandoned(left)
    content = left.read_bytes()
    pulled = hub.pull()
    assert hub.here() == pulled.preset.handle
    assert pulled.preset.file(WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert left.read_bytes() == content


def test_a_file_of_another_machine_is_copied_until_it_is_old(hub: Hub):
    left = interrupt(hub, 5000)
    name = re.sub(r"\.[0-9a-f]{8}\.0\.", ".0123abcd.1.", left.name)
    left = left.rename(left.with_name(name))
    assert not is_abandoned(left)
    hub.pull()
    assert hub.requests(WEIGHTS)[-1].headers["range"] == "bytes=5000-"
    assert left.exists()
    os.utime(left, (0, 0))
    assert is_abandoned(left)


@pytest.mark.parametrize("whole", [True, False])
def test_bytes_that_were_left_wrong_are_fetched_again(hub: Hub, whole):
    size = len(hub.files[WEIGHTS])
    left = interrupt(hub, 5000)
    left.write_bytes(bytes(size if whole else 5000))
    hub.check(hub.pull())


def test_a_partial_file_that_is_too_long_is_dropped(hub: Hub):
    left = interrupt(hub, 5000)
    left.write_bytes(hub.files[WEIGHTS] + b"more")
    hub.check(hub.pull())


def test_bytes_that_are_all_here_are_only_checked(hub: Hub):
    left = interrupt(hub, 5000)
    left.write_bytes(hub.files[WEIGHTS])
    hub.check(hub.pull())
    # Kaggle states the hash in its answer; no byte of that is needed.
    assert len(hub.requests(WEIGHTS)) == (1 if hub.is_kaggle else 0)


def test_partial_files_of_another_revision_are_not_joined(hub: Hub):
    interrupt(hub, 5000)
    changed = bytearray(hub.files[WEIGHTS])
    changed[-4] ^= 1
    files = {**hub.files, WEIGHTS: bytes(changed)}
    if hub.is_kaggle:
        hub.server.publish("acme/f_net/keras/tiny", 2, files)
    else:
        hub.publish(files)
    pulled = hub.pull()
    assert pulled.preset.file(WEIGHTS).read_bytes() == changed
    assert hub.requests(WEIGHTS)[-1].headers.get("range") is None


def test_a_killed_process_is_gone_on_from(hub: Hub):
    at = 40_000
    hub.server.faults.append(faults.stall(at=at, match=WEIGHTS, times=1))
    process = start_pull(hub, tell=True)
    next(line for line in process.stdout if WEIGHTS in line)
    while not any(path.stat().st_size for path in hub.partials()):
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert hub.here() is None
    hub.forget_requests()
    hub.check(hub.pull())
    (request,) = hub.requests(WEIGHTS)
    assert 0 < int(request.headers["range"][6:-1]) <= at


def test_a_pull_in_a_process_of_its_own(hub: Hub):
    said = end_pull(start_pull(hub))
    assert set(said["fetched"]) == set(hub.files)
    assert hub.pull(hub.exact).fetched == []
