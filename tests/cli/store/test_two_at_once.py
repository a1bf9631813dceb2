"""Two pulls of one preset are one download; two of different presets do not wait."""

from __future__ import annotations

import pytest
from fakes.faults import slow, stall
from scene import BOTH, LARGE_ON_HUB, LARGE_ON_KAGGLE, ON_KAGGLE, WEIGHTS, contents_of, wait_until

LARGE = [LARGE_ON_KAGGLE, LARGE_ON_HUB]


def test_a_second_pull_waits_says_so_and_fetches_nothing(scene, presets):
    for handle in LARGE:
        scene.forget()
        fault = slow(rate=2_000_000, match=WEIGHTS)
        scene.server_of(handle).faults.append(fault)
        with scene.started("presets", "pull", handle) as first:
            wait_until(lambda name=handle: WEIGHTS in scene.fetched(name))
            log = scene.pull(handle)
            assert first.wait(timeout=60) == 0
            done = first.stderr.read()
        assert f"fnet: another pull of {handle}" in log
        assert f"(process {first.pid}): waiting for it" in log
        assert "is here, and whole" in log
        assert "is here, and whole" not in done
        assert scene.fetched(handle).count(WEIGHTS) == 1
        assert contents_of(scene.directory(handle)) == contents_of(presets["large"])


def test_two_that_start_in_the_same_moment_download_once(scene, presets):
    scene.kaggle.faults.append(slow(rate=4_000_000, match=WEIGHTS))
    command = ("presets", "pull", LARGE_ON_KAGGLE)
    with scene.started(*command) as one, scene.started(*command) as other:
        assert (one.wait(timeout=60), other.wait(timeout=60)) == (0, 0)
        logs = [one.stderr.read(), other.stderr.read()]
    assert sorted("waiting for it" in log for log in logs) == [False, True]
    assert scene.fetched(LARGE_ON_KAGGLE).count(WEIGHTS) == 1
    assert contents_of(scene.directory(LARGE_ON_KAGGLE)) == contents_of(presets["large"])


@pytest.mark.parametrize("other", BOTH)
def test_a_pull_of_another_preset_does_not_wait(scene, other):
    scene.kaggle.faults.append(stall(at=0, match=WEIGHTS, times=1))
    with scene.started("presets", "pull", LARGE_ON_KAGGLE, FNET_TIMEOUT="60") as first:
        wait_until(lambda: WEIGHTS in scene.fetched(LARGE_ON_KAGGLE))
        assert "waiting" not in scene.pull(other)
        assert first.poll() is None


def test_what_is_being_pulled_is_not_removed(scene):
    scene.pull(ON_KAGGLE)
    scene.kaggle.faults.append(stall(at=0, match=WEIGHTS, times=1))
    with scene.started("presets", "pull", ON_KAGGLE, "--force", FNET_TIMEOUT="60") as running:
        wait_until(lambda: scene.fetched(ON_KAGGLE).count(WEIGHTS) == 2)
        ran = scene.fnet("presets", "remove", ON_KAGGLE, "--yes")
    assert ran.returncode == 7
    assert f"is being pulled by process {running.pid}" in ran.stderr
