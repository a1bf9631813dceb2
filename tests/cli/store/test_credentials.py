"""Secrets stay secret: on no stream, in no file of the caches, and with no other host."""

from __future__ import annotations

import pytest
from scene import BOTH, ON_HUB, ON_KAGGLE, refusal

SECRET = "s3cr3t-0f-th3-us3r"
TOKENS = {"KAGGLE_API_TOKEN": SECRET, "HF_TOKEN": SECRET}
LEGACY = {"KAGGLE_USERNAME": "user", "KAGGLE_KEY": SECRET}
URLS = [
    f"https://user:{SECRET}@mirror.example/preset",
    f"http://user:{SECRET}@mirror.example/preset",
    f"https://{SECRET}@mirror.example/preset",
    f"s3://user:{SECRET}@bucket/preset",
    f"https://mirror.example/preset?signature={SECRET}",
    f"s3://bucket/preset?secret_key={SECRET}",
]


@pytest.fixture
def guarded(scene):
    """A user whose hubs want to know who asks."""
    scene.kaggle.token = scene.hub.token = SECRET
    scene.hub.repos["owner/tiny"].private = True
    return scene


def assert_no_leak(scene) -> None:
    """Require that the secret went to the hub alone, and to no file."""
    for server in (scene.kaggle.storage, scene.hub.storage):
        for request in server.requests:
            assert "authorization" not in request.headers
            assert SECRET not in f"{request.headers} {request.path}"
    for name in scene.traces():
        assert SECRET.encode() not in (scene.root / name).read_bytes()


@pytest.mark.parametrize(
    ("handle", "env"), [(ON_KAGGLE, TOKENS), (ON_KAGGLE, LEGACY), (ON_HUB, TOKENS)]
)
def test_a_token_opens_what_is_private_and_is_shown_to_nobody(guarded, handle, env):
    for command in (("pull", "--json"), ("pull", "--force"), ("inspect", "--json")):
        ran = guarded.fnet("presets", command[0], handle, *command[1:], **env)
        assert ran.returncode == 0, ran.stderr
        assert SECRET not in ran.stdout + ran.stderr
    assert guarded.server_of(handle).storage.requests
    assert_no_leak(guarded)


@pytest.mark.parametrize("handle", BOTH)
def test_without_a_token_the_hint_says_how_to_log_in(guarded, handle):
    ran = guarded.fnet("presets", "pull", handle)
    error, hint = refusal(ran)
    assert (ran.returncode, error) == (5, f"{handle}: access is refused (401)")
    assert ("KAGGLE_API_TOKEN" if handle == ON_KAGGLE else "HF_TOKEN") in hint


@pytest.mark.parametrize("handle", BOTH)
def test_a_wrong_token_is_not_repeated(guarded, handle):
    guarded.kaggle.token = guarded.hub.token = "another"
    ran = guarded.fnet("presets", "pull", handle, **TOKENS)
    assert (ran.returncode, SECRET in ran.stderr) == (5, False)
    assert_no_leak(guarded)


def test_a_gated_repository_says_how_to_log_in(scene):
    scene.hub.token, scene.hub.repos["owner/tiny"].gated = "another", True
    ran = scene.fnet("presets", "pull", ON_HUB, **TOKENS)
    error, hint = refusal(ran)
    assert (ran.returncode, "access is refused (403)" in error, SECRET in error) == (5, True, False)
    assert "gated" in hint


@pytest.mark.parametrize("url", URLS)
def test_an_address_with_credentials_is_refused_and_not_repeated(scene, url):
    ran = scene.fnet("presets", "pull", url)
    assert (ran.returncode, SECRET in "".join(refusal(ran))) == (2, False)


@pytest.mark.parametrize("command", ["presets use", "presets verify", "summary"])
def test_no_command_repeats_credentials(scene, command):
    ran = scene.fnet(*command.split(), URLS[0])
    assert (ran.returncode, SECRET in "".join(refusal(ran))) == (2, False)


@pytest.mark.parametrize("handle", BOTH)
def test_a_proxy_with_credentials_is_not_repeated(scene, handle):
    proxy = {"http_proxy": f"http://user:{SECRET}@127.0.0.1:9", "no_proxy": ""}
    ran = scene.fnet("presets", "pull", handle, **proxy)
    assert (ran.returncode, SECRET in ran.stderr) == (5, False)
