"""`fnet presets pull`: what its options do, and which names it refuses."""

from __future__ import annotations

import json

import pytest
from fakes.content import files_under
from scene import BOTH, ON_HUB, ON_KAGGLE, WEIGHTS, contents_of, refusal

FILES = ["assets/tokenizer/vocabulary.spm", "config.json", "metadata.json", WEIGHTS]
MALFORMED = [
    "kaggle://owner/model", "kaggle://owner/model/tensorFlow2/tiny", "kaggle://o/m/keras/tiny/0",
    "hf://owner", "hf://owner/tiny@", "hf://owner/../tiny", "ftp://host/preset", "s3://",
    "https://host/a?b=c",
]  # fmt: skip


@pytest.mark.parametrize("handle", BOTH)
def test_dry_run_tells_files_and_sizes_and_writes_nothing(scene, presets, handle):
    rows = json.loads(scene.ok("presets", "pull", handle, "--dry-run", "--json"))
    sizes = {name: len(data) for name, data in contents_of(presets["tiny"]).items()}
    assert {row["file"]: row["bytes"] for row in rows} == sizes
    assert {row["preset"] for row in rows} == {handle}
    assert scene.traces() == []
    assert WEIGHTS not in scene.fetched(handle)


def test_dry_run_in_a_pipe_is_one_file_a_line_for_all_names(scene):
    ran = scene.fnet("presets", "pull", *BOTH, "--dry-run")
    heading, *lines = ran.stdout.splitlines()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert heading == "preset\trevision\tfile\tbytes"
    assert sorted(line.split("\t")[2] for line in lines) == sorted(FILES * 2)


def test_dry_run_of_what_is_here_has_only_what_would_be_fetched(pulled):
    path = pulled.directory(ON_KAGGLE)
    assert json.loads(pulled.ok("presets", "pull", ON_KAGGLE, "--dry-run", "--json")) == []
    (path / WEIGHTS).write_bytes(b"cut")
    rows = json.loads(pulled.ok("presets", "pull", ON_KAGGLE, "--dry-run", "--json"))
    assert [row["file"] for row in rows] == [WEIGHTS]
    rows = json.loads(pulled.ok("presets", "pull", ON_HUB, "--dry-run", "--json", "--force"))
    assert sorted(row["file"] for row in rows) == FILES


def test_json_tells_what_was_pulled_and_fetched(scene):
    ran = scene.fnet("presets", "pull", *BOTH, "--json", "--quiet")
    assert (ran.returncode, ran.stderr) == (0, "")
    records = json.loads(ran.stdout)
    assert [record["handle"] for record in records] == BOTH
    for record in records:
        assert sorted(record["fetched"]) == [file["name"] for file in record["files"]] == FILES
        assert record["path"] == str(scene.directory(record["handle"]))
    again = json.loads(scene.ok("presets", "pull", ON_HUB, "--json"))
    assert again[0]["fetched"] == []


def test_force_fetches_everything_again(pulled):
    log = pulled.pull(ON_KAGGLE, "--force")
    assert "4 files" in log.splitlines()[-1]
    assert pulled.fetched(ON_KAGGLE) == FILES


def test_a_revision_on_kaggle_is_a_version(scene, presets):
    scene.kaggle.publish("owner/model/keras/tiny", 2, files_under(presets["newer"]))
    scene.pull(ON_KAGGLE, "--revision", "1")
    assert scene.directory(ON_KAGGLE).name == "1"
    scene.pull(ON_KAGGLE)
    assert scene.directory(ON_KAGGLE).name == "2"
    assert contents_of(scene.directory(f"{ON_KAGGLE}/1")) == contents_of(presets["tiny"])
    assert contents_of(scene.directory(f"{ON_KAGGLE}/2")) == contents_of(presets["newer"])


def test_a_revision_on_the_hub_is_a_branch_a_tag_or_a_commit(scene, presets):
    repo = scene.hub.repos["owner/tiny"]
    old, new = repo.refs["main"], repo.commit(files_under(presets["newer"]), "v2")
    scene.pull(ON_HUB, "--revision", "v2")
    assert scene.fnet("presets", "path", ON_HUB).returncode == 4  # nobody has asked for it yet
    scene.pull(ON_HUB, "--revision", old)
    assert scene.directory(f"{ON_HUB}@v2").name == new
    assert scene.directory(f"{ON_HUB}@{old}").name == old
    assert scene.directory(f"{ON_HUB}@{new}").name == new


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((ON_KAGGLE, "--revision", "9"), 4),
        ((ON_HUB, "--revision", "none"), 4),
        (("kaggle://owner/model/keras/none",), 4),
        (("hf://owner/none",), 4),
        ((f"{ON_KAGGLE}/1", "--revision", "2"), 2),
        ((ON_KAGGLE, "--revision", "main"), 2),
        ((ON_HUB, "--revision", "../main"), 2),
    ],
)
def test_a_revision_that_is_not_there_or_cannot_be(scene, arguments, code):
    ran = scene.fnet("presets", "pull", *arguments)
    refusal(ran)
    assert ran.returncode == code, ran.stderr
    assert scene.traces() == []


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_handle_is_a_wrong_command_line(scene, name):
    ran = scene.fnet("presets", "pull", name)
    refusal(ran)
    assert ran.returncode == 2


def test_names_that_nothing_can_be_pulled_for(scene, presets):
    for name, code, hint in [
        ("f_net_mini_en", 2, ""),
        (presets["tiny"], 2, ""),
        ("f_net_bas_en", 4, "did you mean f_net_base_en"),
        ("nothing_like_it", 4, "f_net_large_en"),
        ("", 2, "fnet presets list"),
    ]:
        ran = scene.fnet("presets", "pull", *filter(None, [name]))
        assert (ran.returncode, hint in refusal(ran)[1]) == (code, True), ran.stderr


def test_json_has_what_was_pulled_before_one_failed(scene):
    ran = scene.fnet("presets", "pull", ON_KAGGLE, "hf://owner/none", ON_HUB, "--json", "--quiet")
    assert (ran.returncode, ran.stderr.count("fnet: error: ")) == (4, 1)
    assert [record["handle"] for record in json.loads(ran.stdout)] == [ON_KAGGLE]
    assert scene.fnet("presets", "path", ON_HUB).returncode == 4


# --- Lock files ---------------------------------------------------------------------------------


@pytest.fixture
def locked(pulled):
    """A user who has locked both presets in `lock.json`."""
    pulled.pull(*BOTH, "--lock", "lock.json")
    return pulled


def test_a_lock_file_names_revisions_and_hashes(locked):
    entries = json.loads((locked.root / "lock.json").read_text())["presets"]
    assert [entry["handle"] for entry in entries] == BOTH
    for entry in entries:
        assert entry["revision"] == locked.directory(entry["handle"]).name
        assert [len(file["sha256"]) for file in entry["files"]] == [64] * 4


def test_a_lock_file_that_could_not_be_written_is_refused_before_anything_is_fetched(scene):
    for arguments, code in [(("none/lock.json",), 7), ((".",), 7), (("x.json", "--dry-run"), 2)]:
        ran = scene.fnet("presets", "pull", ON_KAGGLE, "--lock", *arguments)
        refusal(ran)
        assert (ran.returncode, scene.traces()) == (code, [])
    assert scene.fetched(ON_KAGGLE) == []


def test_what_was_locked_is_pulled_although_there_is_a_newer_one(locked, presets):
    locked.kaggle.publish("owner/model/keras/tiny", 2, files_under(presets["newer"]))
    locked.hub.repos["owner/tiny"].commit(files_under(presets["newer"]))
    places = [locked.directory(handle) for handle in BOTH]
    locked.ok("presets", "remove", *BOTH, "--yes")
    locked.pull("--locked", "lock.json")
    for place in places:
        assert contents_of(place) == contents_of(presets["tiny"])


def test_one_of_a_lock_file_can_be_named_and_another_one_not(locked):
    locked.ok("presets", "remove", ON_KAGGLE, "--yes")
    locked.pull("--locked", "lock.json", ON_KAGGLE)
    assert locked.fetched(ON_HUB) == []
    for other in ("hf://owner/large", f"{ON_KAGGLE}/2"):
        ran = locked.fnet("presets", "pull", "--locked", "lock.json", other)
        assert (ran.returncode, refusal(ran)[0]) == (2, f"lock.json does not lock {other}")
    ran = locked.fnet("presets", "pull", "--locked", "lock.json", "--revision", "1")
    assert ran.returncode == 2


def test_a_server_that_has_changed_what_was_locked_is_refused(locked, presets):
    locked.kaggle.publish("owner/model/keras/tiny", 1, files_under(presets["newer"]))
    locked.ok("presets", "remove", ON_KAGGLE, "--yes")
    ran = locked.fnet("presets", "pull", "--locked", "lock.json", ON_KAGGLE)
    assert (ran.returncode, "is not the file that was locked" in refusal(ran)[0]) == (6, True)
    assert "pulled" not in {row["state"] for row in locked.listed() if row["name"] == ON_KAGGLE}


def test_a_file_that_is_no_lock_file_is_refused(scene):
    for text in ["", "{}", "[]", '{"format": 1, "presets": [1]}', "\x00"]:
        (scene.root / "lock.json").write_text(text)
        ran = scene.fnet("presets", "pull", "--locked", "lock.json")
        assert (ran.returncode, "lock.json" in refusal(ran)[0]) == (4, True), ran.stderr
    assert scene.fnet("presets", "pull", "--locked", "none.json").returncode == 4
