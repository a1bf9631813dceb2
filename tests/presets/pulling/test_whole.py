"""A whole pull, and caches that are shared with the hubs' own clients."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest
from fakes.faults import status
from pulls import STRANGERS, WEIGHTS, Hub, read_files

from fnet_cli.errors import NetworkError, PresetNotFoundError, UnsafePresetError
from fnet_cli.presets.pulling.events import Advanced, Planned
from fnet_cli.presets.pulling.pull import PullOptions, plan_pull, pull
from fnet_cli.presets.resolving import resolve_preset


def test_a_pull_fetches_every_file_and_records_it(hub: Hub):
    pulled = hub.pull()
    hub.check(pulled)
    assert set(pulled.fetched) == set(hub.files)
    assert pulled.preset.handle == hub.exact
    assert pulled.manifest.revision == hub.revision
    assert hub.listed() == [str(hub.exact)]
    # No server was asked for anything but files of a preset.
    assert not {request.file for request in hub.requests()} & set(STRANGERS)


def test_the_plain_client_finds_what_was_pulled(hub: Hub):
    hub.pull()
    hub.server.stop()
    for name, content in hub.files.items():
        assert hub.by_client(name, offline=True) == content


def path_of(hub: Hub, name: str) -> Path:
    """Return where the plain client has put a file."""
    return next(path for path in hub.home.rglob(name) if path.is_file())


def test_what_the_plain_client_has_fetched_is_adopted(hub: Hub):
    for name in hub.files:
        hub.by_client(name)
    assert hub.here() == hub.exact
    hub.forget_requests()
    pulled = hub.pull()
    hub.check(pulled)
    assert pulled.fetched == []
    # Kaggle states a hash where it is asked for a file; the Hub lists them.
    assert hub.is_kaggle or not hub.requests()


def test_what_the_plain_client_has_fetched_is_adopted_while_the_hub_is_away(hub: Hub):
    for name in hub.files:
        hub.by_client(name)
    hub.server.stop()
    pulled = hub.pull(hub.exact)
    assert pulled.fetched == []
    assert set(pulled.manifest.by_name) == set(hub.files)


def test_only_what_the_plain_client_lacks_is_fetched(hub: Hub):
    for name in ("config.json", WEIGHTS):
        hub.by_client(name)
    pulled = hub.pull()
    hub.check(pulled)
    assert set(pulled.fetched) == {*hub.files} - {"config.json", WEIGHTS}


def test_a_wrong_byte_in_the_plain_clients_file_is_found(hub: Hub):
    hub.by_client(WEIGHTS)
    path = next(path for path in hub.home.rglob(WEIGHTS) if path.is_file())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    pulled = hub.pull()
    hub.check(pulled)
    assert WEIGHTS in pulled.fetched


@pytest.mark.parametrize("exact", [True, False])
def test_what_the_plain_client_has_whole_but_wrong_is_repaired(serving, keras_files, exact):
    hub = serving("huggingface", keras_files)
    for name in hub.files:
        hub.by_client(name)
    path = next(hub.home.glob(f"snapshots/*/{WEIGHTS}"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    pulled = hub.pull(hub.exact if exact else hub.handle)
    assert pulled.fetched == [WEIGHTS]
    hub.check(pulled)


def test_discarding_a_commit_leaves_what_another_one_has(serving, keras_files):
    hub = serving("huggingface", keras_files)
    old = hub.pull()
    hub.publish({**hub.files, "metadata.json": hub.files["metadata.json"] + b"\n"})
    new = hub.pull()
    hub.cache.discard(hub.handle.location, old.preset.revision)
    assert hub.pull(new.preset.handle).fetched == []
    assert len(list(hub.home.glob("blobs/*"))) == len(hub.files)
    new.preset.file(WEIGHTS).resolve().unlink()
    hub.cache.discard(hub.handle.location, new.preset.revision)
    assert [path.name for path in hub.home.iterdir()] == [".fnet"]
    assert hub.here() is None


def test_a_second_pull_of_an_exact_revision_makes_no_connection(hub: Hub):
    hub.pull()
    hub.server.stop()
    assert hub.pull(hub.exact).fetched == []


def test_offline_no_socket_is_made(hub: Hub, monkeypatch):
    hub.settings = dataclasses.replace(hub.settings, offline=True)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(NetworkError, match="offline"):
        hub.pull()
    with pytest.raises(NetworkError, match="offline"):
        hub.pull(hub.exact)
    with pytest.raises(PresetNotFoundError) as caught:
        resolve_preset(str(hub.handle), hub.settings, print)
    assert f"fnet presets pull {hub.handle}" in caught.value.hint
    assert not hub.settings.kaggle_cache.exists()
    assert not hub.settings.huggingface_cache.exists()


def test_offline_a_cached_preset_works_under_every_handle(hub: Hub, monkeypatch):
    pulled = hub.pull()
    hub.server.stop()
    hub.settings = dataclasses.replace(hub.settings, offline=True)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    monkeypatch.setattr(socket, "socket", refuse)
    for handle in (hub.handle, hub.exact):
        assert hub.pull(handle).fetched == []
        found = resolve_preset(str(handle), hub.settings)
        assert found.directory == pulled.preset.directory
        with found.open_weights() as weights:
            assert weights.dtypes() == {"float32"}


def test_force_fetches_everything_again(hub: Hub):
    hub.pull()
    pulled = hub.pull(force=True)
    hub.check(pulled)
    assert set(pulled.fetched) == set(hub.files)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS, "assets/tokenizer/vocabulary.spm"])
def test_of_a_damaged_preset_only_the_damaged_file_is_fetched(hub: Hub, name):
    path = hub.pull().preset.file(name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    pulled = hub.pull()
    assert pulled.fetched == [name]
    hub.check(pulled)


def test_a_damaged_manifest_is_written_anew(hub: Hub):
    pulled = hub.pull()
    pulled.preset.manifest_path.write_text('{"format": 1, "files"')
    again = hub.pull()
    hub.check(again)
    assert again.fetched == []


def test_files_that_were_deleted_are_fetched_again(hub: Hub):
    pulled = hub.pull()
    pulled.preset.file(WEIGHTS).resolve().unlink()
    again = hub.pull()
    assert again.fetched == [WEIGHTS]
    hub.check(again)


def test_a_blob_that_is_here_is_linked_into_a_new_commit(hub: Hub):
    if hub.is_kaggle:
        pytest.skip("versions on Kaggle share no files")
    hub.pull()
    hub.publish({**hub.files, "metadata.json": b'{"keras_version": "9"}'})
    again = hub.pull()
    assert again.fetched == ["metadata.json"]
    hub.check(again)


def test_a_foreign_repository_loses_nothing_when_a_pull_is_refused(hub: Hub):
    hub.publish({**hub.files, "config.json": b'{"registered_name": "keras_hub>Bert"}'})
    hub.by_client("metadata.json")
    mine = path_of(hub, "metadata.json")
    for force in (False, True):
        with pytest.raises(UnsafePresetError):
            hub.pull(force=force)
        assert mine.read_bytes() == hub.files["metadata.json"]


def test_a_flipped_byte_of_an_adopted_file_is_found(hub: Hub):
    content = {name: bytearray(hub.by_client(name)) for name in hub.files}
    content[WEIGHTS][5000] ^= 1
    path_of(hub, WEIGHTS).resolve().write_bytes(content[WEIGHTS])
    pulled = hub.pull(hub.exact)
    hub.check(pulled)
    assert pulled.fetched == [WEIGHTS]


def test_events_add_up(hub: Hub):
    hub.pull()
    sizes = {name: len(content) for name, content in hub.files.items()}
    last: dict[str, Advanced] = {}
    for event in hub.events:
        if isinstance(event, Advanced):
            assert event.done <= (event.total or event.done)
            last[event.name] = event
    assert {name: (event.done, event.total) for name, event in last.items()} == {
        name: (size, size) for name, size in sizes.items()
    }
    (planned,) = (event for event in hub.events if isinstance(event, Planned))
    assert (planned.files, planned.bytes) == (len(sizes), sum(sizes.values()))
    assert planned.revision == hub.revision


def test_a_plan_writes_nothing(hub: Hub, tmp_path):
    before = read_files(tmp_path)
    preset, files = plan_pull(hub.handle, hub.settings, PullOptions())
    assert preset.handle == hub.exact
    assert {file.name: file.size for file in files} == {
        name: len(content) for name, content in hub.files.items()
    }
    assert read_files(tmp_path) == before
    hub.pull()
    assert plan_pull(hub.handle, hub.settings, PullOptions())[1] == []


def test_a_newer_revision_is_pulled_beside_the_old_one(hub: Hub):
    old = hub.pull()
    changed = {**hub.files, "metadata.json": hub.files["metadata.json"] + b"\n"}
    if hub.is_kaggle:
        hub.server.publish("acme/f_net/keras/tiny", 2, changed)
    else:
        hub.publish(changed)
    new = hub.pull()
    assert new.preset.revision != old.preset.revision
    assert read_files(new.preset.directory) == changed
    assert hub.here() == new.preset.handle
    assert hub.here(old.preset.handle) == old.preset.handle


def test_a_half_fetched_newer_version_does_not_hide_the_whole_one(serving, keras_files):
    hub = serving("kaggle-direct", keras_files)
    old = hub.pull()
    hub.server.publish("acme/f_net/keras/tiny", 2, keras_files)
    hub.server.faults.append(status(500, match=WEIGHTS))
    with pytest.raises(NetworkError):
        hub.pull()
    hub.settings = dataclasses.replace(hub.settings, offline=True)
    assert hub.here() == hub.pull().preset.handle == old.preset.handle


def test_a_branch_is_remembered_by_its_name(serving, keras_files):
    hub = serving("huggingface", keras_files)
    hub.server.repos["acme/f-net-tiny"].refs["v1"] = hub.revision
    branch = dataclasses.replace(hub.handle, revision="v1")
    pulled = pull(branch, hub.settings)
    assert pulled.manifest.requested == "v1"
    assert hub.here(branch) == pulled.preset.handle
    # `main` was not asked for, and is unknown here.
    assert hub.here() is None
