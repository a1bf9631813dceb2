"""The hubs are asked what a pull would ask, and what they answer is explained."""

from __future__ import annotations

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fakes.faults import page, stall, status
from fakes.huggingface import FakeHub, Repo
from fakes.kaggle import FakeKaggle
from worlds import told, world_in

from fnet_cli.checkup.hubs import _hint_for, check_hubs

SECRET = "s3cr3t-0f-th3-us3r"
FILES = {"config.json": b"{}"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def hubs(monkeypatch):
    """Both hubs, each with the preset that it is asked for, and no credentials for them."""
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    kaggle = FakeKaggle({"keras/f_net/keras/f_net_base_en": {3: FILES}})
    hub = FakeHub({"google/fnet-base": Repo.of(FILES)})
    with kaggle, hub:
        yield kaggle, hub


def asked(tmp_path, kaggle_url, hub_url, **changes):
    world = world_in(tmp_path, patience=changes.pop("patience", 20))
    settings = replace(
        world.settings, kaggle_endpoint=kaggle_url, huggingface_endpoint=hub_url, **changes
    )
    return list(check_hubs(replace(world, settings=settings)))


def test_hubs_that_answer_are_ok(tmp_path, hubs):
    kaggle, hub = hubs
    findings = asked(tmp_path, kaggle.url, hub.url)
    assert [verdict for verdict, _ in told(findings)] == ["ok", "ok"]
    assert [found.endswith(": answers") for _, found in told(findings)] == [True, True]
    assert (len(kaggle.requests), len(hub.requests)) == (1, 1)


def test_offline_nobody_is_asked(tmp_path, hubs):
    kaggle, hub = hubs
    findings = asked(tmp_path, kaggle.url, hub.url, offline=True)
    assert told(findings) == [("note", "not asked: offline")]
    assert kaggle.requests + hub.requests == []


def test_a_hub_that_refuses_connections_is_a_warning(tmp_path, hubs):
    findings = asked(tmp_path, NOWHERE, NOWHERE)
    assert [finding.verdict for finding in findings] == ["warning", "warning"]
    for finding in findings:
        assert "refused" in finding.found
        assert finding.hint.startswith("nothing listens there")


def test_refused_credentials_are_a_warning_that_says_how_to_log_in(tmp_path, hubs):
    kaggle, hub = hubs
    kaggle.token = hub.token = SECRET
    hub.repos["google/fnet-base"].private = True
    on_kaggle, on_hub = asked(tmp_path, kaggle.url, hub.url)
    for finding, name in ((on_kaggle, "KAGGLE_API_TOKEN"), (on_hub, "HF_TOKEN")):
        assert finding.verdict == "warning"
        assert finding.found.endswith("answers, and refuses access")
        assert name in finding.hint
        assert SECRET not in str(finding)


def test_a_hub_that_says_nothing_is_left_after_a_while(tmp_path, hubs):
    for server in hubs:
        server.faults.append(stall(at=None))
    findings = asked(tmp_path, *(server.url for server in hubs), patience=0.5)
    assert [finding.verdict for finding in findings] == ["warning", "warning"]
    assert all("firewall" in finding.hint for finding in findings)


@pytest.mark.parametrize(("fault", "words"), [(status(503), "503"), (page(), "login page")])
def test_what_is_no_answer_of_a_hub_is_a_warning(tmp_path, hubs, fault, words):
    for server in hubs:
        server.faults.append(fault)
    for finding in asked(tmp_path, *(server.url for server in hubs)):
        assert (finding.verdict, words in finding.found) == ("warning", True)


def test_a_relay_without_that_preset_answers(tmp_path, hubs):
    kaggle, hub = hubs
    hub.repos.clear()
    _, found = told(asked(tmp_path, kaggle.url, hub.url))
    assert found[0] == "ok"
    assert found[1].endswith("answers, and does not have hf://google/fnet-base")


def test_a_proxy_that_fails_is_named_without_its_password(tmp_path, hubs, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://user:{SECRET}@127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    (finding, _) = asked(tmp_path, "http://kaggle.example", "http://hub.example")
    assert (finding.verdict, "proxy" in finding.hint) == ("warning", True)
    assert SECRET not in str(finding)


def test_a_server_that_speaks_no_tls_is_told_as_such(tmp_path, hubs):
    class Plain(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Plain)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"https://127.0.0.1:{server.server_port}"
    try:
        for finding in asked(tmp_path, address, address):
            assert finding.verdict == "warning"
            assert "REQUESTS_CA_BUNDLE" in finding.hint
    finally:
        server.shutdown()
        server.server_close()


def test_a_failure_without_a_known_cause_still_says_what_works():
    assert "bundled preset" in _hint_for(ValueError())
