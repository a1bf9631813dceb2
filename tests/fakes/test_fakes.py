"""The fakes are what the real clients expect."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import huggingface_hub
import kagglehub
import pytest
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from kagglehub.exceptions import DataCorruptionError, KaggleApiHTTPError
from kagglesdk import kaggle_env

from fakes import faults
from fakes.client import ask
from fakes.huggingface import FakeHub, Repo, commit_of
from fakes.kaggle import FakeKaggle

HANDLE = "keras/f_net/keras/f_net_base_en"
BODY = bytes(range(256)) * 40
NEWEST = {"config.json": b"{}", "model.weights.h5": BODY, "assets/tokenizer/vocabulary.spm": b"v"}
CREDENTIALS = ("KAGGLE_API_TOKEN", "KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_ENVIRONMENT")
PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_TOKEN")


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch, tmp_path):
    for name in (*CREDENTIALS, *PROXIES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture(params=[True, False], ids=["redirect", "direct"])
def kaggle(request, monkeypatch):
    models = {HANDLE: {2: {"config.json": b"old"}, 3: NEWEST}}
    with FakeKaggle(models, redirect=request.param) as server:
        endpoints = kaggle_env._env_to_endpoint
        monkeypatch.setitem(endpoints, kaggle_env.KaggleEnv.PROD, server.url)
        yield server


def contents_of(directory):
    files = [path for path in Path(directory).rglob("*") if path.is_file()]
    return {path.relative_to(directory).as_posix(): path.read_bytes() for path in files}


def test_kagglehub_downloads_the_newest_and_a_named_version(kaggle):
    assert contents_of(kagglehub.model_download(HANDLE)) == NEWEST
    assert Path(kagglehub.model_download(f"{HANDLE}/2", path="config.json")).read_bytes() == b"old"
    assert bool(kaggle.storage.requests) == kaggle.redirect
    assert {request.api for request in kaggle.requests} == {
        "GetModelInstance",
        "ListModelInstanceVersionFiles",
        "DownloadModelInstanceVersion",
    }


@pytest.mark.skipif(
    not hasattr(tarfile, "data_filter"),
    reason="kagglehub's own unpacking asks for what Python has from 3.11.4 on",
)
def test_kagglehub_fetches_an_archive_beyond_a_page_of_files(kaggle):
    many = {f"{number}.json": b"%d" % number for number in range(30)}
    kaggle.publish(HANDLE, 4, many)
    assert contents_of(kagglehub.model_download(HANDLE)) == many


@pytest.mark.parametrize("name", [f"{HANDLE}/9", "keras/other/keras/base", f"{HANDLE}/3"])
def test_kagglehub_gets_404_for_what_is_not_there(kaggle, name):
    with pytest.raises(KaggleApiHTTPError) as caught:
        kagglehub.model_download(name, path="none.json")
    assert caught.value.response.status_code == 404


def test_kagglehub_shows_its_token_to_the_api_alone(kaggle, monkeypatch):
    kaggle.token = "secret"
    with pytest.raises(KaggleApiHTTPError) as caught:
        kagglehub.model_download(HANDLE)
    assert caught.value.response.status_code == 401
    monkeypatch.setenv("KAGGLE_API_TOKEN", "secret")
    kagglehub.model_download(HANDLE)
    assert kaggle.requests[-1].headers["authorization"] == "Bearer secret"
    assert not any("authorization" in request.headers for request in kaggle.storage.requests)


def test_kagglehub_comes_by_the_environment_alone(monkeypatch):
    with FakeKaggle({HANDLE: {3: NEWEST}}) as kaggle:
        for name, value in kaggle.environment().items():
            monkeypatch.setenv(name, value)
        assert contents_of(kagglehub.model_download(HANDLE)) == NEWEST
        assert len(kaggle.storage.requests) == len(NEWEST)


def test_kagglehub_notices_a_flipped_byte(kaggle):
    kaggle.faults.append(faults.corrupt(at=7, match="weights", times=1))
    with pytest.raises(DataCorruptionError):
        kagglehub.model_download(HANDLE, path="model.weights.h5")
    assert not kaggle.faults


def test_kaggle_lists_page_by_page_and_with_hostile_names():
    with FakeKaggle({HANDLE: {3: NEWEST}}, extra_names=["../evil", "/abs", "a\\b"]) as kaggle:
        owner, model, _, variation = HANDLE.split("/")
        names, token = [], ""
        while token or not names:
            asked = {"ownerSlug": owner, "modelSlug": model, "instanceSlug": variation}
            asked |= {"framework": "MODEL_FRAMEWORK_KERAS", "pageSize": 4, "pageToken": token}
            listing = "/api/v1/models.ModelApiService/ListModelInstanceVersionFiles"
            page = json.loads(ask(kaggle, listing, method="POST", body=json.dumps(asked))[2])
            names += [file["name"] for file in page["files"]]
            token = page["nextPageToken"]
    assert names == [*NEWEST, "../evil", "/abs", "a\\b"]


@pytest.mark.parametrize("redirect", [True, False])
def test_huggingface_hub_downloads_files_and_snapshots(tmp_path, redirect):
    files = {**NEWEST, "model.safetensors": BODY}
    with FakeHub({"google/fnet": Repo.of(files)}, redirect=redirect) as hub:
        options = {"endpoint": hub.url, "cache_dir": tmp_path, "token": "secret"}
        path = huggingface_hub.hf_hub_download("google/fnet", "model.safetensors", **options)
        assert Path(path).read_bytes() == BODY
        snapshot = huggingface_hub.snapshot_download("google/fnet", **options)
        assert Path(snapshot).name == commit_of(files)
        assert contents_of(snapshot) == files
        assert {request.headers["authorization"] for request in hub.requests} == {"Bearer secret"}
        assert bool(hub.storage.requests) == redirect
        assert not any("authorization" in request.headers for request in hub.storage.requests)


def test_huggingface_hub_gets_its_errors(tmp_path):
    repos = {
        "a/open": Repo.of(NEWEST),
        "a/private": Repo.of(NEWEST, private=True),
        "a/gated": Repo.of(NEWEST, gated=True),
    }
    with FakeHub(repos, token="secret") as hub:

        def download(repo, file="config.json", revision="main", token=False):
            return huggingface_hub.hf_hub_download(
                repo, file, revision=revision, token=token, endpoint=hub.url, cache_dir=tmp_path
            )

        for arguments, error in [
            (("a/none",), RepositoryNotFoundError),
            (("a/private",), RepositoryNotFoundError),
            (("a/gated",), GatedRepoError),
            (("a/open", "none.json"), RemoteEntryNotFoundError),
            (("a/open", "config.json", "v9"), RevisionNotFoundError),
        ]:
            with pytest.raises(error):
                download(*arguments)
        assert Path(download("a/private", token="secret")).read_bytes() == b"{}"


@pytest.mark.parametrize(
    ("module", "place"), [("kaggle", ["--handle", HANDLE]), ("huggingface", ["--repo", "a/b"])]
)
def test_a_fake_as_a_program(tmp_path, module, place):
    (tmp_path / "config.json").write_bytes(b"{}")
    command = [sys.executable, "-m", f"fakes.{module}", "--directory", str(tmp_path), *place]
    root = Path(__file__).parents[1]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as program:
        assert program.stdout.readline().startswith("http://127.0.0.1:")
        program.terminate()
