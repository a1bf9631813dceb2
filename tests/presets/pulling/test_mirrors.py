"""Mirrors: a directory on a web server, on a disk, or in an object store."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from builders import TINY, random_tensors
from fakes import faults
from fakes.answers import Reply, Request
from fakes.content import Content
from fakes.object_store import SECRET, ObjectStore
from fakes.server import LoopbackServer
from pulls import STRANGERS, WEIGHTS, read_files

from fnet_cli.config import Settings
from fnet_cli.constants import ENCODE_SETTINGS_FILE
from fnet_cli.errors import (
    FnetError,
    IntegrityError,
    NetworkError,
    PresetError,
    PresetNotFoundError,
    UnsafePresetError,
)
from fnet_cli.presets.handles import Handle, parse_handle
from fnet_cli.presets.layouts.keras_h5 import write_weights
from fnet_cli.presets.pulling.partial import partial_files
from fnet_cli.presets.pulling.pull import Pulled, PullOptions, pull
from fnet_cli.presets.resolving import resolve_preset
from fnet_cli.presets.store.cached import all_cached, find_cached


class WebServer(LoopbackServer):
    """A directory of files by their paths; it may lack tags, HEAD, ranges, or a status for none."""

    def __init__(self, files: dict[str, bytes]):
        self.files, self.tags, self.head, self.ranged = files, True, True, True
        self.missing = 404
        super().__init__()

    def reply_to(self, request: Request) -> Reply:
        request.file = unquote(request.path).removeprefix("/presets/tiny/")
        if request.method == "HEAD" and not self.head:
            return Reply(405)
        if request.file not in self.files:
            return Reply(
                self.missing, Content(b"<html>no such page"), {"Content-Type": "text/html"}
            )
        content = Content(self.files[request.file])
        tag = {"ETag": f'"{content.md5.hex()}"'} if self.tags else {}
        return Reply(200, content, tag, ranged=self.ranged)

    def fetched(self, name: str = "") -> list[Request]:
        asked = [request for request in self.requests if request.method == "GET"]
        return [request for request in asked if name in request.file]


@dataclass
class Mirror:
    """One preset at an address."""

    handle: Handle
    settings: Settings
    files: dict[str, bytes]
    server: WebServer | None = field(default=None)

    def pull(self, **options: object) -> Pulled:
        return pull(self.handle, self.settings, PullOptions(**options))

    def check(self, pulled: Pulled) -> None:
        assert read_files(pulled.preset.directory) == self.files
        assert {file.name for file in pulled.manifest.files} == set(self.files)
        found = find_cached(self.handle, self.settings)
        assert found.handle == pulled.preset.handle
        assert [str(one.handle) for one in all_cached(self.settings)] == [str(self.handle)]
        assert partial_files(pulled.preset.home) == []


@pytest.fixture
def web(settings, keras_files):
    files = {**keras_files, **STRANGERS}
    with WebServer(files) as server:
        handle = parse_handle(f"{server.url}/presets/tiny/")
        yield Mirror(handle, settings, dict(keras_files), server)


@pytest.fixture
def disk(settings, keras_files, tmp_path):
    directory = tmp_path / "mirror" / "tiny"
    for name, content in {**keras_files, **STRANGERS}.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return Mirror(parse_handle(f"file://{directory}"), settings, dict(keras_files))


@pytest.fixture(scope="module")
def s3_server(keras_files):
    with ObjectStore("mirrors") as store:
        for name, content in {**keras_files, **STRANGERS}.items():
            store.put(f"models/tiny/{name}", content)
        store.put("evil/config.json", b"{}")
        store.put("evil/a\\b", b"x")
        yield store


@pytest.fixture
def s3(settings, keras_files, s3_server, monkeypatch):
    for name, value in s3_server.credentials.items():
        monkeypatch.setenv(name, value)
    settings = replace(settings, s3_endpoint=s3_server.url, s3_region="us-east-1")
    return Mirror(parse_handle("s3://mirrors/models/tiny"), settings, dict(keras_files))


@pytest.fixture(params=["web", "disk", "s3"])
def mirror(request) -> Mirror:
    return request.getfixturevalue(request.param)


def test_a_pull_from_a_mirror(mirror: Mirror):
    pulled = mirror.pull()
    mirror.check(pulled)
    assert set(pulled.fetched) == set(mirror.files)
    assert mirror.pull().fetched == []
    assert resolve_preset(str(mirror.handle), mirror.settings).directory == pulled.preset.directory


@pytest.mark.parametrize("place", ["web", "disk"])
def test_encode_settings_come_from_a_mirror(request, place):
    mirror = request.getfixturevalue(place)
    mirror.files[ENCODE_SETTINGS_FILE] = b'{"padding": "none"}'
    if mirror.server is None:
        directory = Path(mirror.handle.location.removeprefix("file://"))
        (directory / ENCODE_SETTINGS_FILE).write_bytes(mirror.files[ENCODE_SETTINGS_FILE])
    else:
        mirror.server.files.update(mirror.files)
    mirror.check(mirror.pull())
    found = resolve_preset(str(mirror.handle), mirror.settings)
    assert found.encode_settings().to_dict() == {"padding": "none"}


def test_offline_a_mirrored_preset_works(mirror: Mirror, monkeypatch):
    pulled = mirror.pull()
    mirror.settings = replace(mirror.settings, offline=True)
    monkeypatch.setattr("socket.socket", None)
    assert mirror.pull().preset.handle == pulled.preset.handle
    assert resolve_preset(str(mirror.handle), mirror.settings).weight_files


def test_a_damaged_file_is_fetched_again(mirror: Mirror):
    path = mirror.pull().preset.file(WEIGHTS)
    path.write_bytes(bytes(path.stat().st_size))
    assert mirror.pull().fetched == [WEIGHTS]
    mirror.check(mirror.pull())


def test_no_preset_at_an_address(mirror: Mirror):
    mirror.handle = parse_handle(f"{mirror.handle.location}/none")
    with pytest.raises((PresetNotFoundError, NetworkError)) as caught:
        mirror.pull()
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    assert list(all_cached(mirror.settings)) == []


def test_locked_files_of_a_mirror(mirror: Mirror):
    manifest = mirror.pull().manifest
    shutil.rmtree(mirror.settings.own_cache)
    exact = replace(mirror.handle, revision=manifest.revision)
    pulled = pull(exact, mirror.settings, PullOptions(locked=manifest))
    assert read_files(pulled.preset.directory) == mirror.files
    shutil.rmtree(mirror.settings.own_cache)
    other = replace(manifest.files[0], sha256="0" * 64)
    locked = replace(manifest, files=(other, *manifest.files[1:]))
    with pytest.raises(IntegrityError, match="locked"):
        pull(exact, mirror.settings, PullOptions(locked=locked))


def test_s3_refuses_names_that_lead_elsewhere(s3: Mirror, tmp_path):
    s3.handle = parse_handle("s3://mirrors/evil")
    with pytest.raises(UnsafePresetError):
        s3.pull()
    assert not s3.settings.own_cache.exists()


@pytest.mark.parametrize("place", ["s3://none/tiny", "s3://mirrors/none"])
def test_s3_without_a_bucket_or_a_directory(s3: Mirror, place):
    s3.handle = parse_handle(place)
    with pytest.raises(FnetError) as caught:
        s3.pull()
    assert caught.value.exit_code in (4, 5)
    assert SECRET not in f"{caught.value}{caught.value.hint}"
    assert "\n" not in str(caught.value)


def test_s3_that_does_not_let_us_in(s3: Mirror, web: Mirror):
    s3.settings = replace(s3.settings, s3_endpoint=web.server.url)
    web.server.faults.append(faults.status(403))
    with pytest.raises(NetworkError) as caught:
        s3.pull()
    assert "credentials" in caught.value.hint
    assert SECRET not in f"{caught.value}{caught.value.hint}"


def test_a_changed_mirror_is_another_revision(web: Mirror):
    old = web.pull()
    config = json.dumps(json.loads(web.files["config.json"])).encode() + b"\n"
    web.server.files["config.json"] = web.files["config.json"] = config
    new = web.pull()
    assert new.preset.revision != old.preset.revision
    assert read_files(new.preset.directory) == web.files
    assert find_cached(web.handle, web.settings).handle == new.preset.handle
    assert read_files(old.preset.directory) != web.files


@pytest.mark.parametrize("tags", [True, False])
@pytest.mark.parametrize("head", [True, False])
def test_web_servers_of_all_kinds(web: Mirror, tags, head):
    web.server.tags, web.server.head = tags, head
    web.server.faults.append(faults.cut(at=4000, match=WEIGHTS, times=1))
    web.check(web.pull())
    assert not web.server.faults


def test_a_web_server_with_a_page_for_every_name(web: Mirror):
    web.server.missing = 200
    web.check(web.pull())


def test_a_server_without_ranges_that_cuts_always_is_given_up(web: Mirror, pauses):
    web.server.ranged = False
    web.server.faults += [faults.cut(at, WEIGHTS, times=1) for at in (3000, 6000) * 10]
    with pytest.raises(NetworkError):
        web.pull()
    assert len(pauses) == 3
    web.server.faults[1:] = []
    web.check(web.pull())


FAULTS = {
    "cut": faults.cut(at=4000, match=WEIGHTS, times=1),
    "short": faults.short(at=4000, match=WEIGHTS, times=1),
    "500": faults.status(500, match=WEIGHTS, times=2),
    "HEAD": faults.status(503, match=WEIGHTS, times=2, method="HEAD"),
    "stall": faults.stall(at=5000, match=WEIGHTS, times=1),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_a_web_server_that_passes(web: Mirror, name):
    web.settings = replace(web.settings, timeout=0.5)
    web.server.faults.append(FAULTS[name])
    web.check(web.pull())
    assert not web.server.faults


def test_a_file_that_changes_while_it_is_fetched_is_not_joined(web: Mirror, tmp_path):
    write_weights(tmp_path / WEIGHTS, TINY, random_tensors(TINY, seed=1))
    changed = (tmp_path / WEIGHTS).read_bytes()
    assert len(changed) == len(web.files[WEIGHTS])

    def change(_event: object) -> None:
        if web.server.fetched(WEIGHTS):
            web.server.files[WEIGHTS] = changed

    web.server.faults.append(faults.cut(at=50_000, match=WEIGHTS, times=1))
    pulled = web.pull(on_event=change)
    assert pulled.preset.file(WEIGHTS).read_bytes() == changed


def test_pages_and_refusals_of_a_web_server(web: Mirror):
    web.server.faults.append(faults.page(match=WEIGHTS, method="GET"))
    with pytest.raises(NetworkError, match="web page"):
        web.pull()
    web.server.faults[:] = [faults.status(403)]
    with pytest.raises(NetworkError) as caught:
        web.pull()
    assert "netrc" in caught.value.hint


def test_an_endless_file_of_a_web_server(web: Mirror, monkeypatch):
    monkeypatch.setattr("fnet_cli.presets.pulling.limits.MAX_WEIGHT_OVERHEAD_BYTES", 1_000_000)
    web.server.faults.append(faults.endless(match=WEIGHTS, chunked=True))
    with pytest.raises((PresetError, IntegrityError)):
        web.pull()
    assert find_cached(web.handle, web.settings) is None


def test_absent_files_of_a_server_that_answers_403_for_them(web: Mirror):
    web.server.missing = 403
    web.check(web.pull())
    del web.server.files["config.json"]
    with pytest.raises(NetworkError, match="access is refused"):
        web.pull()


def test_credentials_of_netrc_reach_the_web_server(web: Mirror, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login someone password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    web.check(web.pull())
    assert all("authorization" in request.headers for request in web.server.requests)
    web.server.faults.append(faults.status(401))
    with pytest.raises(NetworkError) as caught:
        web.pull()
    assert SECRET not in f"{caught.value}{caught.value.hint}"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_mirror_on_a_disk_that_may_not_be_read(disk: Mirror):
    Path(disk.handle.location.removeprefix("file://"), WEIGHTS).chmod(0)
    with pytest.raises(NetworkError):
        disk.pull()
