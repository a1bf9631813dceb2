"""What a hub lists and serves is not trusted."""

from __future__ import annotations

import json
from dataclasses import replace

import h5py
import pytest
from builders import TINY, random_tensors
from fakes import faults
from fakes.server import json_reply
from pulls import WEIGHTS, Hub, read_files

from fnet_cli.errors import FnetError, NetworkError, PresetError, UnsafePresetError
from fnet_cli.presets.layouts.keras_h5 import write_weights
from fnet_cli.presets.pulling.pull import PullOptions, plan_pull

HOSTILE = (
    "../evil", "/abs", "a\\b", "a/../../b", "a//b", "./config.json", "C:evil", "a\nb", "\x1b[2J",
)  # fmt: skip


@pytest.fixture(params=["kaggle-redirect", "huggingface"])
def hub(request, serving, keras_files) -> Hub:
    return serving(request.param, keras_files)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_elsewhere_ends_the_pull_before_anything_is_written(hub, tmp_path, name):
    hub.server.extra_names.append(name)
    before = read_files(tmp_path), sorted(tmp_path.rglob("*"))
    with pytest.raises(UnsafePresetError) as caught:
        hub.pull()
    assert str(caught.value).isprintable()
    with pytest.raises(UnsafePresetError):
        plan_pull(hub.handle, hub.settings, PullOptions())
    assert (read_files(tmp_path), sorted(tmp_path.rglob("*"))) == before
    assert not hub.requests()


def test_other_strange_names_are_never_fetched(hub: Hub):
    names = ["héllo.h5", "model.weights.h5.exe", ".hidden", "assets/tokenizer/vocabulary.spm.bak"]
    names += [f"checkpoint-{number}" for number in range(60)]  # more than a page of a listing
    hub.server.extra_names += names
    hub.check(hub.pull())
    assert not {request.file for request in hub.requests()} & {*names}


def answers(hub: Hub, monkeypatch, document) -> None:
    """Let the hub's API answer with a document of our making."""
    reply_to = hub.server.reply_to

    def reply(request):
        answer = reply_to(request)
        return answer if request.file else json_reply(document)

    monkeypatch.setattr(hub.server, "reply_to", reply)


SHA = "0" * 40
ODD = {
    "kaggle-redirect": [
        None, 3, [], "text", {}, {"files": 3}, {"files": [3]}, {"files": [{"name": 3}]},
        {"files": [{"name": None}]}, {"files": [{"name": "config.json", "size": "many"}]},
        {"files": [{"name": "config.json", "size": -1}]}, {"code": "x", "message": 3},
        {"code": 400}, {"versionNumber": "../1"}, {"versionNumber": -1}, {"versionNumber": 0},
    ],
    "huggingface": [
        None, 3, [], "text", {}, {"id": 1}, {"id": "a/b", "sha": "../../evil"},
        {"id": "a/b", "sha": 3}, {"id": "a/b", "sha": SHA, "siblings": 3},
        {"id": "a/b", "sha": SHA, "siblings": [3]},
        {"id": "a/b", "sha": SHA, "siblings": [{"rfilename": 3}]},
        {"id": "a/b", "sha": SHA, "siblings": [{"rfilename": "config.json", "size": "9"}]},
        {"id": "a/b", "sha": SHA, "siblings": [{"rfilename": "config.json", "lfs": 3}]},
        {"id": "a/b", "sha": SHA, "siblings": [{"rfilename": "config.json", "blobId": 3}]},
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("hub", "document"),
    [(kind, document) for kind, documents in ODD.items() for document in documents],
    indirect=["hub"],
    ids=str,
)
def test_odd_answers_are_errors_of_ours(hub: Hub, monkeypatch, tmp_path, document):
    answers(hub, monkeypatch, document)
    before = sorted(tmp_path.rglob("*"))
    for handle in (hub.handle, hub.exact):
        with pytest.raises(FnetError):
            hub.pull(handle)
    assert sorted(tmp_path.rglob("*")) == before


def test_another_commit_than_the_one_asked_for_is_refused(serving, keras_files, monkeypatch):
    hub = serving("huggingface", keras_files)
    exact = replace(hub.handle, revision="a" * 40)
    hub.server.repos["acme/f-net-tiny"].refs["a" * 40] = hub.revision
    with pytest.raises(NetworkError, match="revision"):
        hub.pull(exact)
    assert hub.listed() == []


def test_a_server_that_states_no_hashes_and_no_sizes(serving, keras_files, monkeypatch):
    hub = serving("huggingface", keras_files)
    siblings = [{"rfilename": name} for name in keras_files]
    answers(hub, monkeypatch, {"id": "acme/f-net-tiny", "sha": hub.revision, "siblings": siblings})
    hub.check(hub.pull())
    assert hub.by_client(WEIGHTS, offline=True) == keras_files[WEIGHTS]
    assert hub.pull(force=True).fetched


def test_a_listing_without_end_ends(serving, keras_files, monkeypatch):
    hub = serving("kaggle-direct", keras_files)
    answers(hub, monkeypatch, {"files": [{"name": "config.json"}], "nextPageToken": "1"})
    with pytest.raises(NetworkError, match="without end"):
        hub.pull(hub.exact)


def test_a_model_of_another_class_costs_its_config_only(hub: Hub):
    document = json.loads(hub.files["config.json"])
    document["registered_name"] = "keras_hub>BertBackbone"
    hub.publish({**hub.files, "config.json": json.dumps(document).encode()})
    with pytest.raises(PresetError):
        hub.pull()
    assert {request.file for request in hub.requests()} == {"config.json"}
    assert hub.listed() == []
    assert read_files(hub.settings.kaggle_cache) == {}
    assert read_files(hub.settings.huggingface_cache) == {}


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"<html>", b'{"a": NaN}', b""])
def test_a_config_that_is_none_is_refused(hub: Hub, content):
    hub.publish({**hub.files, "config.json": content})
    with pytest.raises(FnetError) as caught:
        hub.pull()
    assert caught.value.exit_code in (4, 6)
    assert not hub.requests(WEIGHTS)
    assert not hub.partials()
    assert hub.listed() == []


def wrong_weights(tmp_path, kind: str) -> bytes:
    path = tmp_path / "wrong.h5"
    if kind == "no weights":
        return b"not an HDF5 file, but of some length"
    if kind == "other shapes":
        other = replace(TINY, hidden_dim=16)
        write_weights(path, other, random_tensors(other))
    else:
        write_weights(path, TINY, random_tensors(TINY))
        with h5py.File(path, "r+") as file:
            file["layers/dense/vars/0"].attrs["x"] = 1
            del file["layers/dense/vars/1"]
            file["layers/dense/vars/1"] = h5py.ExternalLink("/etc/passwd", "/x")
    return path.read_bytes()


@pytest.mark.parametrize("kind", ["no weights", "other shapes", "a link"])
def test_weights_that_would_not_load_are_not_kept(hub: Hub, tmp_path, kind):
    hub.publish({**hub.files, WEIGHTS: wrong_weights(tmp_path, kind)})
    with pytest.raises(FnetError) as caught:
        hub.pull()
    assert caught.value.exit_code in (4, 6)
    assert not hub.is_recorded()
    assert hub.here() is None
    assert not hub.partials()


def test_weights_that_are_too_large_for_their_config_are_not_fetched(hub: Hub, monkeypatch):
    monkeypatch.setattr("fnet_cli.presets.pulling.limits.MAX_WEIGHT_OVERHEAD_BYTES", -100_000)
    monkeypatch.setattr("fnet_cli.presets.pulling.limits.MAX_BYTES_PER_PARAMETER", 5)
    with pytest.raises(PresetError, match="limit"):
        hub.pull()
    assert hub.here() is None


def test_a_preset_without_weights_or_config(hub: Hub):
    files = dict(hub.files)
    del files[WEIGHTS]
    hub.publish(files)
    with pytest.raises(PresetError, match=WEIGHTS):
        hub.pull()
    del files["config.json"]
    hub.publish(files)
    with pytest.raises(PresetError, match=r"config\.json"):
        hub.pull()
    assert hub.listed() == []


def test_an_answer_in_an_encoding_nobody_asked_for(hub: Hub, monkeypatch):
    hub.server.faults.append(
        faults.status(200, match=WEIGHTS, times=1, headers={"Content-Encoding": "gzip"})
    )
    hub.settings = replace(hub.settings, retries=0)
    with pytest.raises(FnetError):
        hub.pull()
    hub.check(hub.pull())
