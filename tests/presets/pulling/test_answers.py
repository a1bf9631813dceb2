"""Answers that are no failures, and not what was asked for either."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fakes import faults
from pulls import WEIGHTS, Hub

from fnet_cli.errors import NetworkError, PresetNotFoundError
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.pulling import transfer
from fnet_cli.presets.sources import http


def test_a_server_that_drips_is_given_up_and_what_came_is_kept(hub: Hub, monkeypatch):
    hub.server.faults.append(faults.slow(rate=20_000, match=WEIGHTS))
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "_SLOW_SECONDS", 0.3)
        patch.setattr(transfer, "_SLOWEST", 1e9)
        with pytest.raises(NetworkError, match=r"only [\d,]+ bytes came in") as caught:
            hub.pull()
    assert "try again" in caught.value.hint
    hub.server.faults.clear()
    hub.check(hub.pull())


@pytest.mark.parametrize("limit", ["_MAX_ANSWER_BYTES", "_MAX_ANSWER_SECONDS"])
def test_a_listing_without_end_is_given_up(hub: Hub, monkeypatch, limit):
    monkeypatch.setattr(http, limit, 0)
    with pytest.raises(NetworkError, match="an answer of more than"):
        hub.pull()


def test_an_unknown_handle_is_answered_with_the_nearest_known_one(hub: Hub):
    hub.pull()
    with pytest.raises(PresetNotFoundError) as caught:
        hub.pull(parse_handle(f"{hub.handle}x"))
    assert f"did you mean {hub.handle}" in caught.value.hint


def test_a_file_that_could_be_cut_unseen_is_refused(hub: Hub, monkeypatch):
    def bare(self, stream):
        facts = transfer.RemoteFile(stream.file.name)
        return take(self, replace(stream, file=facts, is_framed=False))

    take = transfer.Transfer._take_facts
    monkeypatch.setattr(transfer.Transfer, "_take_facts", bare)
    with pytest.raises(NetworkError, match="states neither size nor hash"):
        hub.pull()


def test_a_range_that_is_refused_costs_no_try(hub: Hub):
    hub.settings = replace(hub.settings, retries=0)
    hub.server.faults.append(faults.cut(at=3000, match=WEIGHTS, times=1))
    with pytest.raises(NetworkError):
        hub.pull()
    hub.server.faults.append(faults.status(416, match=WEIGHTS, times=1))
    hub.check(hub.pull())
    assert not hub.server.faults
