"""Presets at an address: a web server, a mounted directory, an object store."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from fakes.answers import Reply, Request
from fakes.content import contents, files_under
from fakes.object_store import SECRET, ObjectStore
from fakes.server import LoopbackServer
from scene import VOCABULARY, WEIGHTS, contents_of, refusal


class Web(LoopbackServer):
    """A web server with one preset under `/presets/tiny`, and nothing but GET and HEAD."""

    def __init__(self, directory: Path):
        self.files = contents(files_under(directory))
        super().__init__()

    @property
    def address(self) -> str:
        return f"{self.url}/presets/tiny"

    def reply_to(self, request: Request) -> Reply:
        path = unquote(urlsplit(request.path).path)
        request.file = path.removeprefix("/presets/tiny/")
        content = self.files.get(request.file)
        if content is None:
            return Reply(404)
        return Reply(200, content, {"ETag": f'"{content.md5.hex()}"'}, ranged=True)


@pytest.fixture
def web(presets):
    with Web(presets["tiny"]) as server:
        yield server


@pytest.fixture(scope="module")
def store(presets):
    """The variables of an object store that holds tiny at s3://presets/models/tiny."""
    with ObjectStore("presets") as made:
        made.put_all(presets["tiny"], "models/tiny")
        yield made.variables


def live_through(scene, address: str, tiny: Path, **env: str) -> None:
    """Pull, list, use without the mirror, verify and remove."""
    log = scene.pull(address, **env)
    path = scene.directory(address)
    assert log.splitlines()[-1].endswith(f" in {path}")
    assert contents_of(path) == contents_of(tiny)
    (row,) = scene.listed()
    assert (row["name"], row["source"], row["state"]) == (address, "mirror", "pulled")
    assert scene.ok("presets", "path", address) == f"{path}\n"
    scene.ok("summary", address, "--offline")
    scene.ok("presets", "verify", address)
    assert "is here, and whole" in scene.pull(address, **env)
    scene.ok("presets", "remove", address, "--yes")
    assert (scene.listed(), scene.traces()) == ([], [])


def test_a_web_server(scene, presets, web):
    live_through(scene, web.address, presets["tiny"])
    fetched = [request.file for request in web.requests if request.method == "GET"]
    assert sorted(fetched) == [VOCABULARY, "config.json", "metadata.json", WEIGHTS]


def test_a_mounted_directory(scene, presets):
    live_through(scene, f"file://{presets['tiny']}", presets["tiny"])


def test_an_object_store(scene, presets, store):
    live_through(scene, "s3://presets/models/tiny", presets["tiny"], **store)


def test_an_object_store_that_refuses_or_is_away_prints_no_secret(scene, store):
    away = {**store, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    for address, env, codes in [
        ("s3://presets/none", store, (4,)),
        ("s3://no-such-bucket/tiny", store, (4, 5)),
        ("s3://presets/models/tiny", away, (5,)),
    ]:
        ran = scene.fnet("presets", "pull", address, **env)
        error, _ = refusal(ran)
        assert ran.returncode in codes, ran.stderr
        assert address in error
        assert SECRET not in ran.stderr
    assert scene.traces() == []


def test_a_damaged_file_is_fetched_again(scene, presets, web):
    scene.pull(web.address)
    path = scene.directory(web.address) / WEIGHTS
    path.write_bytes(path.read_bytes()[:-7])
    ran = scene.fnet("presets", "verify", web.address)
    assert (ran.returncode, f"{web.address}: {WEIGHTS} has" in ran.stderr) == (6, True)
    web.requests.clear()
    scene.pull(ran.stderr.split()[-1])
    assert [one.file for one in web.requests if one.method == "GET"] == [WEIGHTS]
    scene.ok("presets", "verify", web.address)


def test_a_mirror_that_changes_is_another_revision(scene, presets, web):
    scene.pull(web.address)
    web.files = contents(files_under(presets["newer"]))
    scene.pull(web.address)
    assert contents_of(scene.directory(web.address)) == contents_of(presets["newer"])
    revisions = [row["revision"] for row in scene.listed()]
    assert len(set(revisions)) == 2
    rows = json.loads(scene.ok("presets", "remove", web.address, "--dry-run", "--json"))
    assert sorted(row["preset"] for row in rows) == sorted(
        f"{web.address} ({revision})" for revision in revisions
    )
    (dry,) = json.loads(scene.ok("presets", "prune", "--dry-run", "--json"))
    assert dry["kind"] == "superseded revision"
    assert dry["preset"].startswith(f"{web.address} (")
    scene.ok("presets", "prune", "--yes")
    assert contents_of(scene.directory(web.address)) == contents_of(presets["newer"])
    scene.ok("presets", "remove", web.address, "--yes")
    assert scene.listed() == []


def test_removing_an_address_removes_all_its_revisions(scene, presets, web):
    scene.pull(web.address)
    web.files = contents(files_under(presets["newer"]))
    scene.pull(web.address)
    assert scene.fnet("presets", "remove", web.address, "--yes").stderr.count("removed") == 2
    assert (scene.listed(), scene.traces()) == ([], [])


def test_a_lock_file_holds_a_mirror_to_what_it_was(scene, presets, web):
    scene.pull(web.address, "--lock", "lock.json")
    scene.pull("--locked", "lock.json")
    web.files = contents(files_under(presets["newer"]))
    shutil.rmtree(scene.root / "fnet")
    ran = scene.fnet("presets", "pull", "--locked", "lock.json")
    assert ran.returncode in (4, 6), ran.stderr
    refusal(ran)
    assert "pulled" not in scene.states()


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("http://mirror.example/tiny", 4),
        ("http://192.168.0.1/tiny", 4),
        ("file:///no/such/directory", 4),
        ("file://host/tiny", 2),
        ("https://mirror.example/../tiny", 2),
        ("https://mirror.invalid/tiny", 5),
    ],
)
def test_an_address_of_no_use(scene, address, code):
    ran = scene.fnet("presets", "pull", address)
    error, _ = refusal(ran)
    assert (ran.returncode, address in error) == (code, True)
    assert scene.traces() == []


def test_a_directory_without_a_preset_is_told(scene, web):
    web.files = {}
    ran = scene.fnet("presets", "pull", web.address)
    assert (ran.returncode, "config.json" in refusal(ran)[1]) == (4, True)


def test_dry_run_of_a_mirror_writes_nothing(scene, web):
    rows = json.loads(scene.ok("presets", "pull", web.address, "--dry-run", "--json"))
    assert {row["file"] for row in rows} == {VOCABULARY, "config.json", "metadata.json", WEIGHTS}
    assert scene.traces() == []
