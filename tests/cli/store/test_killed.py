"""kill -9 at any byte: nothing partial counts, and the next pull goes on from there."""

from __future__ import annotations

import random
import signal
import time

import pytest
from fakes.faults import stall
from scene import LARGE_ON_HUB, LARGE_ON_KAGGLE, WEIGHTS, contents_of, wait_until

# Blocks of buffers and of pages, both ends, and what chance says; None is before the last byte.
EDGES = [0, 1, 7, 4095, 4096, 65_535, 65_536, 1_048_575, 1_048_576, None]
ANYWHERE = sorted(random.Random(3).sample(range(2, 3_000_000), 10))
OFFSETS = [*EDGES, *ANYWHERE]
HUBS = [LARGE_ON_KAGGLE, LARGE_ON_HUB]
# What a process may have been sent and not yet have written when it is killed.
BUFFERED = 65_536


def size_of_weights(presets) -> int:
    return (presets["large"] / WEIGHTS).stat().st_size


def arrived(scene) -> int:
    """Return how many bytes of the file that comes are on the disk."""
    return max((path.stat().st_size for path in scene.root.rglob("*.part")), default=0)


def stop_at(scene, handle, offset: int, number: signal.Signals) -> tuple[int, str]:
    """Pull, send a signal when that many more bytes have come, and return how it ended."""
    server, expected = scene.server_of(handle), arrived(scene) + offset - BUFFERED
    server.faults.append(stall(at=offset, match=WEIGHTS, times=1))
    with scene.started("presets", "pull", handle, FNET_TIMEOUT="60") as process:
        wait_until(lambda: not server.faults and arrived(scene) >= expected)
        settled(scene)
        process.send_signal(number)
        code = process.wait(timeout=30)
        return code, process.stderr.read()


def settled(scene) -> None:
    """Wait until nothing more is written."""
    before = -1
    while before != (before := arrived(scene)):
        time.sleep(0.05)


def resumed_from(scene, handle) -> int:
    """Return where the request for the weights asked the storage to go on."""
    asked = [item for item in scene.server_of(handle).storage.requests if item.file == WEIGHTS]
    assert len(asked) == 1
    return int(asked[0].headers.get("range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_killed_pull_leaves_nothing_partial_and_is_gone_on_with(scene, presets, offset):
    handle = HUBS[OFFSETS.index(offset) % 2]
    offset = size_of_weights(presets) - 1 if offset is None else offset
    assert stop_at(scene, handle, offset, signal.SIGKILL)[0] == -signal.SIGKILL
    here = arrived(scene)
    assert [(row["name"], row["state"]) for row in scene.listed()] in (
        [(handle, "unfinished")],
        [] if here == 0 else None,
    )
    assert scene.fnet("presets", "path", handle).returncode == 4
    scene.forget()
    log = scene.pull(handle, FNET_RETRIES="0")
    assert "waiting" not in log
    assert resumed_from(scene, handle) == here
    assert offset - BUFFERED <= here <= offset
    assert contents_of(scene.directory(handle)) == contents_of(presets["large"])
    assert not list(scene.root.rglob("*.part"))


def test_one_that_is_killed_again_and_again_never_fetches_a_byte_twice(scene, presets):
    size, handle = size_of_weights(presets), LARGE_ON_KAGGLE
    for _ in range(3):
        before = arrived(scene)
        scene.forget()
        stop_at(scene, handle, size // 5, signal.SIGKILL)
        assert resumed_from(scene, handle) == before < arrived(scene)
    before = arrived(scene)
    scene.forget()
    scene.pull(handle)
    assert resumed_from(scene, handle) == before > size // 2
    assert contents_of(scene.directory(handle)) == contents_of(presets["large"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("handle", HUBS)
def test_an_interrupted_pull_ends_with_130_and_is_gone_on_with(scene, presets, handle, number):
    code, log = stop_at(scene, handle, 2_000_000, number)
    last = log.splitlines()[-1]
    assert (code, log.count("interrupted")) == (130, 1)
    assert last.startswith("fnet: interrupted")
    assert set(scene.states()) == {"unfinished"}
    here = arrived(scene)
    scene.forget()
    scene.pull(handle)
    assert resumed_from(scene, handle) == here > 1_900_000
    assert contents_of(scene.directory(handle)) == contents_of(presets["large"])
