"""Full disks, caches that cannot be written to, and lock files that say what must come."""

from __future__ import annotations

import dataclasses
import errno
import shutil
from collections import namedtuple

import pytest
from fakes import faults
from pulls import WEIGHTS, Hub, end_pull, read_files, start_pull

from fnet_cli.errors import IntegrityError, OutputError
from fnet_cli.presets.pulling import pull as pulling
from fnet_cli.presets.pulling.partial import PartialFile
from fnet_cli.presets.store import recording
from fnet_cli.presets.store.manifest import FileRecord

LIMIT = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
"""


@pytest.fixture(params=["kaggle-redirect", "huggingface"])
def hub(request, serving, keras_files) -> Hub:
    return serving(request.param, keras_files)


def test_a_file_that_the_disk_does_not_take(hub: Hub):
    said = end_pull(start_pull(hub, first=LIMIT))
    assert said["error"] == "OutputError"
    assert str(hub.home) in said["message"]
    assert not hub.is_recorded()
    assert hub.here() is None
    left = max(path.stat().st_size for path in hub.partials())
    hub.forget_requests()
    hub.check(hub.pull())
    ranges = [request.headers.get("range") for request in hub.requests()]
    assert f"bytes={left}-" in ranges


def test_a_full_disk_keeps_what_it_has(hub: Hub, monkeypatch):
    write = PartialFile.write

    def full(self: PartialFile, data: bytes) -> None:
        if WEIGHTS in str(self._file) and self.size + len(data) > 30_000:
            write(self, data[: 30_000 - self.size])
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data)

    with monkeypatch.context() as patched:
        patched.setattr(PartialFile, "write", full)
        with pytest.raises(OutputError, match="No space left") as caught:
            hub.pull()
    assert "kept" in caught.value.hint
    assert not hub.is_recorded()
    hub.forget_requests()
    pulled = hub.pull()
    assert hub.requests(WEIGHTS)[-1].headers["range"] == "bytes=30000-"
    assert pulled.preset.file(WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def fill_disk(monkeypatch, free: int) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12 - free, free))


def test_too_little_space_is_found_before_the_weights_are_fetched(hub: Hub, monkeypatch):
    fill_disk(monkeypatch, 100_000)
    with pytest.raises(OutputError, match="free"):
        hub.pull()
    assert not hub.requests(WEIGHTS)
    assert not hub.is_recorded()


def test_what_is_here_in_part_needs_no_space_again(hub: Hub, monkeypatch):
    sizes = sum(len(content) for content in hub.files.values())
    hub.server.faults += [faults.cut(90_000, WEIGHTS, times=1), faults.status(500, WEIGHTS)]
    with pytest.raises(pulling.NetworkError):
        hub.pull()
    hub.server.faults.clear()
    fill_disk(monkeypatch, sizes - 90_000)
    hub.check(hub.pull())


def test_a_cache_that_is_a_file(hub: Hub):
    cache = hub.settings.kaggle_cache if hub.is_kaggle else hub.settings.huggingface_cache
    cache.parent.mkdir(parents=True)
    cache.write_text("precious")
    with pytest.raises(OutputError, match=str(cache)) as caught:
        hub.pull()
    assert "KAGGLEHUB_CACHE" in caught.value.hint
    assert cache.read_text() == "precious"


def test_a_read_only_cache_that_holds_the_preset_serves(hub: Hub, monkeypatch):
    for name in hub.files:
        hub.by_client(name)
    before = read_files(hub.home)

    def refuse(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(recording, "write_manifest", refuse)
    pulled = hub.pull()
    assert pulled.fetched == []
    assert {file.name for file in pulled.manifest.files} == set(hub.files)
    assert not hub.is_recorded()
    assert hub.here() == hub.exact
    assert read_files(hub.home) == before


def test_a_disk_that_is_full_at_the_very_end(hub: Hub, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(recording, "write_manifest", refuse)
        with pytest.raises(OutputError, match="No space left"):
            hub.pull()
    assert hub.pull(hub.exact).fetched == []
    assert hub.is_recorded()


def test_locked_files_are_pulled_where_they_are_the_same(hub: Hub):
    manifest = hub.pull().manifest
    assert hub.pull(locked=manifest).fetched == []
    shutil.rmtree(hub.home)
    hub.check(hub.pull(hub.exact, locked=manifest))


@pytest.mark.parametrize("change", ["bytes", "fewer", "more"])
@pytest.mark.parametrize("here", [True, False])
def test_other_files_than_the_locked_ones(hub: Hub, change, here):
    manifest = hub.pull().manifest
    files = list(manifest.files)
    if change == "bytes":
        files[0] = dataclasses.replace(files[0], sha256="0" * 64)
    elif change == "fewer":
        del files[0]
    else:
        files.append(FileRecord("more.json", 3, "0" * 64))
    if not here:
        shutil.rmtree(hub.home)
    with pytest.raises(IntegrityError, match="locked"):
        hub.pull(hub.exact, locked=dataclasses.replace(manifest, files=tuple(files)))


def test_what_the_plain_client_has_is_completed_to_the_locked_files(hub: Hub):
    manifest = hub.pull().manifest
    shutil.rmtree(hub.home)
    for name in ("config.json", WEIGHTS, "assets/tokenizer/vocabulary.spm"):
        hub.by_client(name)
    pulled = hub.pull(hub.exact, locked=manifest)
    hub.check(pulled)
    assert WEIGHTS not in pulled.fetched
