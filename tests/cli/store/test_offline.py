"""What has been pulled needs no network, and no connection is tried."""

from __future__ import annotations

import json

import pytest
from scene import BOTH, refusal

WAYS = {
    "FNET_OFFLINE": ((), {"FNET_OFFLINE": "1"}),
    "HF_HUB_OFFLINE": ((), {"HF_HUB_OFFLINE": "1"}),
    "--offline": (("--offline",), {}),
    # With a network that is down and no word about it.
    "nothing": ((), {}),
}
MISSING = ["kaggle://owner/model/keras/other", "hf://owner/other", "hf://owner/tiny@v9"]


@pytest.fixture
def alone(pulled):
    """A user who has pulled, on a machine without a network."""
    pulled.stop()
    pulled.shut_sockets()
    yield pulled
    assert not pulled.canary.exists(), pulled.canary.read_text()


def test_the_shut_sockets_are_shut(alone):
    """Else the tests below would prove nothing."""
    ran = alone.fnet("presets", "pull", BOTH[0])
    assert ran.returncode == 5
    assert alone.canary.exists()
    alone.canary.unlink()


@pytest.mark.parametrize("handle", BOTH)
@pytest.mark.parametrize("way", WAYS)
def test_a_pulled_preset_is_used_by_its_unversioned_handle(alone, way, handle):
    flags, env = WAYS[way]
    found = json.loads(alone.ok("presets", "inspect", handle, "--json", *flags, **env))
    assert found["state"] == "pulled"
    assert "total" in json.loads(alone.ok("summary", handle, "--format", "json", *flags, **env))
    # An id that no preset has is found before a framework starts, and after the preset.
    tokens = alone.root / "tokens.jsonl"
    tokens.write_text('{"token_ids": [1, 99999999]}\n')
    job = ("encode", tokens, "-o", alone.root / "out.parquet", "--preset", handle)
    ran = alone.fnet(*job, *flags, **env)
    assert (ran.returncode, "99,999,999" in ran.stderr or "99999999" in ran.stderr) == (3, True)


@pytest.mark.parametrize("way", ["FNET_OFFLINE", "HF_HUB_OFFLINE", "nothing"])
def test_commands_that_look_after_the_caches_need_no_network(alone, way):
    _, env = WAYS[way]
    assert len(json.loads(alone.ok("presets", "list", "--cached", "--json", **env))) == 2
    rows = json.loads(alone.ok("presets", "verify", "--all", "--json", **env))
    assert [row["state"] for row in rows] == ["ok", "ok"]
    for handle in BOTH:
        alone.ok("presets", "path", handle, **env)
        alone.ok("presets", "remove", handle, "--dry-run", **env)


def test_a_pull_of_an_exact_revision_that_is_here_needs_no_network(alone):
    for handle in BOTH:
        name = json.loads(alone.ok("presets", "remove", handle, "--dry-run", "--json"))[0]["preset"]
        assert "is here, and whole" in alone.pull(name, "--offline")


@pytest.mark.parametrize("handle", MISSING)
@pytest.mark.parametrize("command", ["inspect", "summary", "encode"])
def test_a_missing_preset_says_how_to_get_it(alone, command, handle):
    arguments = {
        "inspect": ("presets", "inspect", handle),
        "summary": ("summary", handle),
        "encode": ("encode", alone.root / "t.jsonl", "-o", "out.jsonl", "--preset", handle),
    }
    (alone.root / "t.jsonl").write_text('{"token_ids": [1]}\n')
    ran = alone.fnet(*arguments[command], "--offline")
    error, hint = refusal(ran)
    assert (ran.returncode, error) == (4, f"{handle} is not on this machine")
    assert f"fnet presets pull {handle}" in hint
    assert "fnet presets export" in hint
    assert "fnet presets import" in hint


@pytest.mark.parametrize("handle", MISSING)
def test_a_pull_offline_says_why_not_and_how_to_bring_an_archive(alone, handle):
    ran = alone.fnet("presets", "pull", handle, FNET_OFFLINE="1")
    error, hint = refusal(ran)
    assert (ran.returncode, error) == (5, f"{handle} cannot be pulled offline")
    assert "FNET_OFFLINE" in hint
    assert "fnet presets import FILE" in hint
