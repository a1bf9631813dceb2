"""What the sources make of answers that no honest server gives, and of redirects."""

from __future__ import annotations

import httpx2
import huggingface_hub
import pytest
import requests
from fakes.answers import Reply, Request
from fakes.content import Content
from fakes.server import LoopbackServer, json_reply

from fnet_cli.errors import NetworkError
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.sources.base import Listing, RemoteFile, TransientError
from fnet_cli.presets.sources.http import check_hops
from fnet_cli.presets.sources.huggingface import HuggingFaceSource
from fnet_cli.presets.sources.kaggle import KaggleSource
from fnet_cli.presets.sources.mirror import MirrorSource

SIGNED = "https://storage.test/x?signature=s3cr3t"
ON_HUB = parse_handle("hf://acme/f-net-tiny")
ON_KAGGLE = parse_handle("kaggle://acme/f_net/keras/tiny/1")
PAYLOAD = b"{}"


class Hops(LoopbackServer):
    """A server that stands for every host; `ways` leads from one address to the next one."""

    def __init__(self, ways: dict[str, str]):
        self.ways = ways
        super().__init__()

    def reply_to(self, request: Request) -> Reply:
        address = request.headers["x-address"]
        if address in self.ways:
            return Reply(307, headers={"Location": self.ways[address]})
        return Reply(200, Content(PAYLOAD), {"Content-Type": "application/json"})

    @property
    def asked(self) -> list[str]:
        return [request.headers["x-address"] for request in self.requests]


@pytest.fixture
def hops(monkeypatch):
    """Return a way of redirects over hosts that do not exist, and over https."""
    send = requests.adapters.HTTPAdapter.send

    def redirected(self, request, **options):
        real = request.copy()
        real.headers["X-Address"] = request.url
        real.url = f"{server.url}/"
        response = send(self, real, **{**options, "verify": False})
        response.url, response.request = request.url, request
        return response

    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", redirected)
    with Hops({}) as server:
        yield server


def test_ways_of_redirects():
    check_hops(["http://relay.test", "https://one.test", "https://two.test"])
    check_hops(["http://relay.test", "http://relay.test/x"])
    signed = "http://b.test/?signature=s3cr3t"
    for way in (
        ["https://a.test", signed],
        ["http://relay.test", "https://a.test", signed],
        ["https://a.test", signed, "https://c.test"],
    ):
        with pytest.raises(NetworkError, match="plain http") as caught:
            check_hops(way)
        assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("end", ["http://b.test/last", "https://c.test/last"])
def test_a_mirror_never_goes_over_plain_http(settings, hops, end):
    first = "https://a.test/tiny/config.json"
    hops.ways = {first: "http://b.test/x", "http://b.test/x": end}
    handle, file = parse_handle("https://a.test/tiny"), RemoteFile("config.json")
    opened = MirrorSource(settings).open(handle, Listing("1"), file, 0)
    with pytest.raises(NetworkError, match=r"a\.test redirects to plain http at b\.test"), opened:
        pass
    assert hops.asked == [first]


def test_kaggle_never_goes_over_plain_http(settings, hops, monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "s3cr3t")
    service = "https://api.kaggle.com/v1/models.ModelApiService"
    first = f"{service}/DownloadModelInstanceVersion"
    hops.ways = {first: "http://b.test/x", "http://b.test/x": "https://c.test/last"}
    opened = KaggleSource(settings).open(ON_KAGGLE, Listing("1"), RemoteFile("config.json"), 0)
    with pytest.raises(NetworkError, match="plain http"), opened:
        pass
    assert hops.asked == [first]


def test_redirects_over_https_are_followed(settings, hops):
    first = "https://a.test/tiny/config.json"
    hops.ways = {first: "https://b.test/x"}
    handle, file = parse_handle("https://a.test/tiny"), RemoteFile("config.json")
    with MirrorSource(settings).open(handle, Listing("1"), file, 0) as stream:
        assert b"".join(stream.read()) == PAYLOAD
    assert hops.asked == [first, "https://b.test/x"]


def answering(monkeypatch, answer) -> None:
    """Let the client of Hugging Face have these answers."""
    client = httpx2.Client(transport=httpx2.MockTransport(answer), follow_redirects=True)
    monkeypatch.setattr(huggingface_hub, "get_session", lambda: client)


@pytest.mark.parametrize("end", ["http://b.test/last", "https://c.test/last"])
def test_hugging_face_over_plain_http_is_refused(settings, monkeypatch, end):
    ways = {"huggingface.co": "http://b.test/x", "b.test": end}

    def answer(request):
        place = "" if request.url.path == "/last" else ways.get(request.url.host, "")
        return httpx2.Response(302 if place else 200, headers={"Location": place}, content=PAYLOAD)

    answering(monkeypatch, answer)
    with pytest.raises(NetworkError, match="huggingface.co redirects to plain http at b.test"):
        HuggingFaceSource(settings).list(ON_HUB)


def test_an_answer_of_the_hub_that_is_no_text_is_no_matter_of_credentials(settings, monkeypatch):
    answering(monkeypatch, lambda _: httpx2.Response(200, content=b'{"id": "\xff"}'))
    with pytest.raises(TransientError, match="not understood"):
        HuggingFaceSource(settings).list(ON_HUB)


def test_a_token_for_the_hub_that_cannot_be_sent(settings, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "s3cr3t-\u017c")
    answering(monkeypatch, lambda _: httpx2.Response(200, content=PAYLOAD))
    with pytest.raises(NetworkError, match="cannot be sent") as caught:
        HuggingFaceSource(settings).list(ON_HUB)
    assert "s3cr3t" not in str(caught.value)


def test_an_error_of_kaggle_under_status_200_is_not_quoted(serving, keras_files):
    hub = serving("kaggle-direct", keras_files)
    hub.server.reply_to = lambda _: json_reply({"code": 404, "message": f"no {SIGNED}"})
    with pytest.raises(NetworkError, match="answers with an error") as caught:
        KaggleSource(hub.settings).list(ON_KAGGLE)
    assert str(ON_KAGGLE) in str(caught.value)
    assert "s3cr3t" not in f"{caught.value}{caught.value.hint}"
