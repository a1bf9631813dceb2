"""What a poor or hostile server does to a pull: an exit code, one line, a hint, nothing half."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from fakes.faults import corrupt, cut, endless, page, short, stall, status
from running import FNET, clean_env
from scene import BOTH, ON_HUB, ON_KAGGLE, WEIGHTS, contents_of, refusal

both = pytest.mark.parametrize("handle", BOTH)
# What goes wrong with the weights, the exit code, and what the error says.
FATAL = {
    "401": (status(401, match=WEIGHTS), 5, "access is refused (401)"),
    "403": (status(403, match=WEIGHTS), 5, "access is refused (403)"),
    "404": (status(404, match=WEIGHTS), 4, "there is no such thing (404)"),
    "500": (status(500, match=WEIGHTS), 5, "the server answers 500"),
    "page": (page(match=WEIGHTS), 5, "the server sends a web page instead"),
    "corrupt": (corrupt(at=50_000, match=WEIGHTS), 6, "the source states"),
    "cut": (cut(at=0, match=WEIGHTS), 5, "connection"),
    "stall": (stall(at=0, match=WEIGHTS), 5, "timed out"),
}
# The same for what is asked first.
AT_ONCE = {
    "401": (status(401), 5, "access is refused (401)"),
    "404": (status(404), 4, "there is no such thing (404)"),
    "500": (status(500), 5, "the server answers 500"),
    "page": (page(), 5, "answer is not understood"),
    "stall": (stall(at=None), 5, "timed out"),
}
HOSTILE = ["../../evil.json", "/tmp/evil.json", "x/../../..\\evil.h5"]
# Prints what the largest of its children took, in KiB: its own memory is small.
_MEASURE = """
import resource, subprocess, sys
ended = subprocess.run(sys.argv[1:]).returncode
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
sys.exit(ended)
"""


@both
@pytest.mark.parametrize("fault", FATAL)
def test_a_pull_that_fails_says_why_and_what_to_do_and_leaves_nothing_pulled(scene, handle, fault):
    wrong, code, message = FATAL[fault]
    scene.server_of(handle).faults.append(wrong)
    patience = {"FNET_TIMEOUT": "0.5"} if wrong.kind == "stall" else {}
    ran = scene.fnet("presets", "pull", handle, **patience)
    error, hint = refusal(ran)
    assert (ran.returncode, message in error, hint != "") == (code, True, True), ran.stderr
    assert set(scene.states()) <= {"unfinished"}
    assert scene.fnet("presets", "path", handle).returncode == 4


@both
@pytest.mark.parametrize("fault", AT_ONCE)
def test_a_pull_that_fails_at_once_writes_nothing(scene, handle, fault):
    wrong, code, message = AT_ONCE[fault]
    scene.server_of(handle).faults.append(wrong)
    patience = {"FNET_TIMEOUT": "0.5"} if wrong.kind == "stall" else {}
    ran = scene.fnet("presets", "pull", handle, **patience)
    error, hint = refusal(ran)
    assert (ran.returncode, message in error, hint != "") == (code, True, True), ran.stderr
    assert scene.traces() == []


@both
def test_a_server_in_trouble_is_asked_again_as_often_as_allowed(scene, handle):
    scene.server_of(handle).faults.append(status(503, match=WEIGHTS))
    ran = scene.fnet("presets", "pull", handle, FNET_RETRIES="1")
    assert (ran.returncode, refusal(ran)[0].endswith("the server answers 503")) == (5, True)
    assert ran.stderr.count("the server answers 503; trying again in 1s") == 1
    assert scene.fetched(handle).count(WEIGHTS) == 2


@both
def test_retry_after_is_told_and_honoured(scene, handle):
    wait = {"Retry-After": "2"}
    scene.server_of(handle).faults.append(status(429, match=WEIGHTS, times=1, headers=wait))
    started = time.monotonic()
    log = scene.pull(handle, FNET_RETRIES="1")
    assert "the server answers 429; trying again in 2s\n" in log
    assert time.monotonic() - started > 2


@both
def test_a_retry_after_that_is_far_away_is_not_waited_for(scene, handle):
    wait = {"Retry-After": "4000"}
    scene.server_of(handle).faults.append(status(429, match=WEIGHTS, headers=wait))
    ran = scene.fnet("presets", "pull", handle, FNET_RETRIES="3")
    assert ran.returncode == 5
    assert "asks to come back in 4,000 s" in refusal(ran)[0]


@both
@pytest.mark.parametrize("fault", [cut(40_000, WEIGHTS, 1), short(40_000, WEIGHTS, 1)])
def test_a_connection_that_breaks_is_gone_on_with(scene, presets, handle, fault):
    scene.server_of(handle).faults.append(fault)
    log = scene.pull(handle, FNET_RETRIES="1")
    assert "; trying again in 1s\n" in log
    server = scene.server_of(handle)
    asked = [*server.requests, *server.storage.requests]
    assert "bytes=40000-" in {one.headers.get("range") for one in asked if one.file == WEIGHTS}
    assert contents_of(scene.directory(handle)) == contents_of(presets["tiny"])


@both
def test_a_stall_is_noticed_within_the_timeout(scene, handle):
    scene.server_of(handle).faults.append(stall(at=50_000, match=WEIGHTS))
    started = time.monotonic()
    assert scene.fnet("presets", "pull", handle, FNET_TIMEOUT="0.5").returncode == 5
    assert time.monotonic() - started < 15  # mostly the start of the program, on a busy machine


@both
def test_names_that_lead_elsewhere_are_refused_before_a_byte_is_written(scene, handle):
    around = sorted(scene.root.parent.rglob("*"))
    for name in HOSTILE:
        scene.server_of(handle).extra_names[:] = [name]
        ran = scene.fnet("presets", "pull", handle)
        error, hint = refusal(ran)
        assert ran.returncode == 4
        assert repr(name) in error
        assert hint.startswith("nothing was fetched")
    assert sorted(scene.root.parent.rglob("*")) == around
    assert scene.fetched(handle) == []


@both
@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_ends_early_and_in_little_memory(scene, handle, chunked):
    scene.server_of(handle).faults.append(endless(WEIGHTS, chunked=chunked))
    ran = subprocess.run(
        [sys.executable, "-c", _MEASURE, *FNET, "presets", "pull", handle],
        env=clean_env(scene.env),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode in (5, 6)
    assert "more bytes came than" in ran.stderr
    assert int(ran.stdout) * 1024 < 300e6


def test_an_endless_answer_of_the_service_ends_too(scene):
    for handle, method in {ON_KAGGLE: "ListModel", ON_HUB: "info"}.items():
        scene.server_of(handle).faults.append(endless(method))
        ran = scene.fnet("presets", "pull", handle)
        assert (ran.returncode, "more than 16,777,216 bytes" in refusal(ran)[0]) == (5, True)


@both
def test_a_hub_that_is_not_there_is_told(scene, handle):
    scene.stop()
    ran = scene.fnet("presets", "pull", handle)
    assert (ran.returncode, "Connection refused" in refusal(ran)[0]) == (5, True)


@both
def test_a_host_without_an_address_is_told(scene, handle):
    nowhere = "http://hub.invalid"
    env = {"KAGGLE_API_ENDPOINT": nowhere, "HF_ENDPOINT": nowhere}
    ran = scene.fnet("presets", "pull", handle, **env)
    assert (ran.returncode, "cannot reach" in refusal(ran)[0]) == (5, True)
