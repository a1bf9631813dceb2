"""What other programs have put into the caches is found, checked and recorded without a network."""

from __future__ import annotations

import json

import huggingface_hub
import kagglehub
import pytest
from kagglesdk import kaggle_env
from scene import BOTH, ON_HUB, ON_KAGGLE, VOCABULARY, WEIGHTS, contents_of, refusal

# What keras_hub asks for, one file at a time.
ASKED = ["config.json", "metadata.json", WEIGHTS, VOCABULARY]


@pytest.fixture
def others(scene, monkeypatch):
    """A user whose other programs have fetched tiny from both hubs."""
    prod = kaggle_env.KaggleEnv.PROD
    monkeypatch.setitem(kaggle_env._env_to_endpoint, prod, scene.kaggle.url)
    for name in ("KAGGLEHUB_CACHE", "HOME"):
        monkeypatch.setenv(name, scene.env[name])
    for name in ASKED:
        kagglehub.model_download(ON_KAGGLE.removeprefix("kaggle://"), path=name)
        huggingface_hub.hf_hub_download(
            ON_HUB.removeprefix("hf://"), name, endpoint=scene.hub.url,
            cache_dir=scene.root / "huggingface" / "hub", token=False,
        )  # fmt: skip
    scene.stop()
    return scene


def test_they_are_listed_as_cached_and_recorded_by_verify(others, presets):
    rows = {row["name"]: row for row in others.listed()}
    assert {name: row["state"] for name, row in rows.items()} == dict.fromkeys(BOTH, "cached")
    assert {row["parameters"] for row in rows.values()} == {14_144}
    before = json.loads(others.ok("presets", "inspect", ON_HUB, "--json"))
    assert (before["state"], sorted(before["files"])) == ("cached", sorted(ASKED))
    verified = json.loads(others.ok("presets", "verify", "--all", "--json"))
    assert {row["state"] for row in verified} == {"recorded"}
    assert others.states() == ["pulled", "pulled"]
    verified = json.loads(others.ok("presets", "verify", *BOTH, "--json"))
    assert {row["state"] for row in verified} == {"ok"}
    for handle in BOTH:
        assert contents_of(others.directory(handle)) == contents_of(presets["tiny"])


def test_they_are_used_as_they_are_with_the_hubs_away(others):
    for handle in BOTH:
        path = others.ok("presets", "path", handle).removesuffix("\n")
        assert path == str(others.directory(handle))
        others.ok("summary", handle)


def test_a_damaged_blob_is_found_by_its_name(others):
    path = others.directory(ON_HUB) / WEIGHTS
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    ran = others.fnet("presets", "verify", ON_HUB, "--json")
    assert (ran.returncode, json.loads(ran.stdout)[0]["state"]) == (6, "damaged")
    assert WEIGHTS in ran.stderr
    assert f"repair it: fnet presets pull {ON_HUB}" in ran.stderr
    assert sorted(others.states()) == ["cached", "cached"]


@pytest.mark.parametrize("handle", BOTH)
def test_half_of_a_preset_is_not_taken_for_one(others, handle):
    (others.directory(handle) / WEIGHTS).unlink()
    assert handle not in {row["name"] for row in others.listed()}
    ran = others.fnet("presets", "path", handle)
    assert (ran.returncode, refusal(ran)[0]) == (4, f"{handle} is not on this machine")
