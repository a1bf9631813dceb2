"""Every fault of a server: what comes well is right, what does not leaves nothing behind."""

from __future__ import annotations

import dataclasses
import email.utils
import time
import tracemalloc

import pytest
from fakes import faults
from pulls import HUBS, WEIGHTS, Hub

from fnet_cli.errors import IntegrityError, NetworkError, PresetError, PresetNotFoundError
from fnet_cli.presets.pulling.events import Retrying

LISTING = {"kaggle": "ListModelInstanceVersionFiles", "huggingface": "info"}
TOKEN = "s3cr3t-t0k3n"


def listing_of(hub: Hub) -> str:
    return LISTING[hub.kind.partition("-")[0]]


def is_clean(hub: Hub) -> bool:
    """Whether nothing is recorded, and the next pull is not misled by what is left."""
    assert not hub.is_recorded()
    assert hub.here() is None
    hub.server.faults.clear()
    hub.check(hub.pull())
    return True


PASSING = {
    "cut": [faults.cut(at=3000, match=WEIGHTS, times=1)],
    "cut at once": [faults.cut(at=0, match=WEIGHTS, times=1)],
    "short": [faults.short(at=3000, match=WEIGHTS, times=1)],
    "lie": [faults.lie(extra=10, match=WEIGHTS, times=1)],
    "slow": [faults.slow(rate=400_000, match=WEIGHTS, times=1)],
    "500": [faults.status(500, match=WEIGHTS, times=2)],
    "502": [faults.status(502, match="config", times=2)],
    "503": [faults.status(503, match=WEIGHTS, times=1, headers={"Retry-After": "soon"})],
    "408": [faults.status(408, match="vocabulary", times=1)],
    "a listing": [faults.status(503, times=1)],
    "a cut listing": [faults.cut(at=10, times=2)],
    "a page instead of a listing": [faults.page(times=1)],
    "ignored range": [
        faults.cut(at=3000, match=WEIGHTS, times=1), faults.ignore_range(WEIGHTS, times=1),
    ],
    "other range": [
        faults.cut(at=3000, match=WEIGHTS, times=1), faults.bad_range(-7, WEIGHTS, times=1),
    ],
    "error under 206": [
        faults.cut(at=3000, match=WEIGHTS, times=1),
        faults.bad_range(match=WEIGHTS, times=1, error=True),
    ],
    "ranges never right": [
        faults.cut(at=3000, match=WEIGHTS, times=1), faults.bad_range(5, WEIGHTS),
    ],
    "416": [
        faults.cut(at=3000, match=WEIGHTS, times=1), faults.status(416, match=WEIGHTS, times=1),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", PASSING)
def test_a_fault_that_passes(hub: Hub, name):
    hub.server.faults += PASSING[name]
    hub.check(hub.pull())
    assert not [fault for fault in hub.server.faults if fault.times is not None]


def test_a_line_that_is_cut_every_so_often_gets_there(hub: Hub):
    hub.server.faults.append(faults.cut(at=9000, match=WEIGHTS))
    hub.check(hub.pull())
    asked = [request.headers.get("range") for request in hub.requests(WEIGHTS)]
    assert asked[:3] == [None, "bytes=9000-", "bytes=18000-"]


def test_a_line_that_carries_nothing_is_given_up(hub: Hub, pauses):
    hub.server.faults.append(faults.cut(at=0, match=WEIGHTS))
    with pytest.raises(NetworkError) as caught:
        hub.pull()
    assert "kept" in caught.value.hint
    assert len(pauses) == hub.settings.retries
    assert pauses == [event.seconds for event in hub.events if isinstance(event, Retrying)]
    assert pauses[1] > pauses[0]
    assert is_clean(hub)


@pytest.mark.parametrize("at", [0, 1500, None])
def test_a_stalled_line_is_gone_on_with(hub: Hub, at):
    hub.settings = dataclasses.replace(hub.settings, timeout=0.3)
    hub.server.faults.append(faults.stall(at=at, match=WEIGHTS, times=1))
    hub.check(hub.pull())
    assert hub.requests(WEIGHTS)[-1].headers.get("range") == (f"bytes={at}-" if at else None)


@pytest.mark.parametrize("match", ["", WEIGHTS])
def test_a_line_that_stalls_always_is_given_up(hub: Hub, match):
    hub.settings = dataclasses.replace(hub.settings, timeout=0.2, retries=1)
    hub.server.faults.append(faults.stall(at=None, match=match))
    with pytest.raises(NetworkError, match="(?i)time"):
        hub.pull()
    assert is_clean(hub)


@pytest.mark.parametrize("at", [0, 1234, -1])
def test_wrong_bytes_are_found(hub: Hub, at):
    position = at % len(hub.files[WEIGHTS])
    hub.server.faults.append(faults.corrupt(at=position, match=WEIGHTS, times=1))
    with pytest.raises(IntegrityError, match=f"{WEIGHTS}.*(md5|sha256)"):
        hub.pull()
    assert not hub.partials()
    assert is_clean(hub)


def test_wrong_bytes_of_a_small_file_are_found(hub: Hub):
    hub.server.faults.append(faults.corrupt(at=20, match="config.json", times=1))
    with pytest.raises(IntegrityError, match="config.json"):
        hub.pull()
    assert not hub.requests(WEIGHTS)
    assert is_clean(hub)


@pytest.mark.parametrize("chunked", [True, False])
@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_an_endless_body_ends(hub: Hub, name, chunked):
    hub.server.faults.append(faults.endless(match=name, chunked=chunked))
    with pytest.raises((IntegrityError, PresetError)):
        hub.pull()
    assert not hub.partials()
    assert is_clean(hub)


@pytest.mark.parametrize("chunked", [True, False])
def test_an_endless_listing_ends_in_bounded_memory(hub: Hub, chunked):
    hub.server.faults.append(faults.endless(match=listing_of(hub), chunked=chunked))
    hub.settings = dataclasses.replace(hub.settings, retries=1)
    tracemalloc.start()
    try:
        with pytest.raises(NetworkError):
            hub.pull()
        assert tracemalloc.get_traced_memory()[1] < 100 * 1024**2
    finally:
        tracemalloc.stop()
    assert is_clean(hub)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_web_page_is_not_taken_for_a_file(hub: Hub, name):
    hub.server.faults.append(faults.page(match=name))
    with pytest.raises(NetworkError, match="web page"):
        hub.pull()
    assert is_clean(hub)


@pytest.mark.parametrize("when", ["seconds", "date"])
def test_the_pause_is_what_the_server_asks_for(hub: Hub, pauses, when):
    asked = "37" if when == "seconds" else email.utils.formatdate(time.time() + 37, usegmt=True)
    fault = faults.status(429, match=WEIGHTS, times=1, headers={"Retry-After": asked})
    hub.server.faults.append(fault)
    hub.check(hub.pull())
    assert len(pauses) == 1
    assert pauses[0] == pytest.approx(37, abs=2)


@pytest.mark.parametrize("match", ["", WEIGHTS])
def test_a_server_that_asks_for_a_long_pause_is_left(hub: Hub, pauses, match):
    fault = faults.status(429, match=match, headers={"Retry-After": "4000"})
    hub.server.faults.append(fault)
    with pytest.raises(NetworkError, match="4,000 s"):
        hub.pull()
    assert pauses == []
    assert is_clean(hub)


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("match", ["", WEIGHTS])
def test_a_refusal_says_how_to_log_in_and_keeps_the_token(hub: Hub, monkeypatch, code, match):
    name, advice = ("KAGGLE_API_TOKEN", "KAGGLE_API_TOKEN") if hub.is_kaggle else (
        "HF_TOKEN", "hf auth login"
    )  # fmt: skip
    monkeypatch.setenv(name, TOKEN)
    hub.server.faults.append(faults.status(code, match=match))
    with pytest.raises(NetworkError) as caught:
        hub.pull()
    assert advice in caught.value.hint
    assert TOKEN not in f"{caught.value} {caught.value.hint}"
    assert is_clean(hub)


@pytest.mark.parametrize("match", ["", WEIGHTS])
def test_what_is_not_there(hub: Hub, match, pauses):
    hub.server.faults.append(faults.status(404, match=match))
    with pytest.raises(PresetNotFoundError):
        hub.pull()
    assert pauses == []
    assert is_clean(hub)


def test_the_storage_host_gets_no_credentials(hub: Hub, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN" if hub.is_kaggle else "HF_TOKEN", TOKEN)
    hub.server.token = TOKEN
    hub.server.faults.append(faults.cut(at=2000, match=WEIGHTS, times=1))
    hub.check(hub.pull())
    assert all(TOKEN in request.headers["authorization"] for request in hub.server.requests)
    stored = hub.server.storage.requests
    assert bool(stored) == hub.server.redirect
    for request in stored:
        assert "authorization" not in request.headers
        assert TOKEN not in str(request)


@pytest.mark.parametrize("kind", HUBS)
def test_signed_addresses_are_in_no_message(serving, keras_files, kind):
    hub = serving(kind, keras_files)
    hub.server.faults.append(faults.stall(at=None, match=WEIGHTS))
    hub.settings = dataclasses.replace(hub.settings, timeout=0.2, retries=0)
    with pytest.raises(NetworkError) as caught:
        hub.pull()
    assert "signature" not in str(caught.value)


def test_a_server_that_is_not_there(hub: Hub):
    hub.server.stop()
    with pytest.raises(NetworkError, match="cannot reach"):
        hub.pull()
