"""A preset's life: pulled, looked at, damaged, repaired, removed."""

from __future__ import annotations

import json

import pytest
from scene import BOTH, ON_HUB, ON_KAGGLE, VOCABULARY, WEIGHTS, contents_of, refusal

from fnet_cli.units import show_bytes

pytestmark = pytest.mark.parametrize("handle", BOTH)
DAMAGES = [(WEIGHTS, "same length"), (WEIGHTS, "truncated"), (WEIGHTS, "deleted"),
           (VOCABULARY, "same length")]  # fmt: skip


def bytes_of(directory) -> int:
    return sum(map(len, contents_of(directory).values()))


def damage(path, how: str) -> None:
    """Change a file behind the program's back."""
    data = bytearray(path.read_bytes())
    if how == "same length":
        data[-100] ^= 1
        path.write_bytes(data)
    elif how == "truncated":
        path.write_bytes(data[:-5])
    else:
        path.unlink()


def test_pull_tells_what_comes_and_where_it_is(scene, presets, handle):
    log = scene.pull(handle).splitlines()
    path = scene.directory(handle)
    assert log[0].startswith(f"fnet: pulling {handle}: ")
    assert log[-1].startswith(
        f"fnet: pulled {handle}: 4 files, {show_bytes(bytes_of(path))} in {path}"
    )
    assert contents_of(path) == contents_of(presets["tiny"])
    assert scene.ok("presets", "path", handle) == f"{path}\n"


def test_a_second_pull_fetches_nothing_and_says_so(pulled, handle):
    path = pulled.directory(handle)
    size = show_bytes(bytes_of(path))
    assert pulled.pull(handle) == f"fnet: {handle} is here, and whole: {size} in {path}\n"
    assert pulled.fetched(handle) == []


def test_list_has_the_pulled_preset_in_json_and_in_a_pipe(pulled, handle):
    rows = {row["name"]: row for row in pulled.listed()}
    assert set(rows) == set(BOTH)
    assert rows[handle]["state"] == "pulled"
    assert rows[handle]["parameters"] == 14_144
    assert rows[handle]["bytes"] == bytes_of(pulled.directory(handle))
    heading, *lines = pulled.ok("presets", "list").splitlines()
    assert heading == "name\tsource\trevision\tstate\tparameters\tbytes\tdescription"
    assert [line.split("\t")[0] for line in lines[:3]] == [
        "f_net_mini_en", "f_net_base_en", "f_net_large_en",
    ]  # fmt: skip
    assert {line.count("\t") for line in lines} == {6}
    assert handle in {line.split("\t")[0] for line in lines}


def test_inspect_tells_where_a_preset_came_from(pulled, handle):
    found = json.loads(pulled.ok("presets", "inspect", handle, "--json"))
    assert (found["state"], found["refused"]) == ("pulled", [])
    assert found["provenance"]["handle"] == handle
    assert found["provenance"]["revision"] == pulled.directory(handle).name
    assert set(found["files"]) == {"config.json", "metadata.json", VOCABULARY, WEIGHTS}
    assert pulled.fetched(handle) == []


def test_verify_of_a_whole_preset_says_ok(pulled, handle):
    rows = json.loads(pulled.ok("presets", "verify", handle, "--json"))
    assert [(row["preset"], row["state"], row["problem"]) for row in rows] == [(handle, "ok", "")]


@pytest.mark.parametrize(("name", "how"), DAMAGES)
def test_a_damaged_file_is_named_and_pulled_again(pulled, presets, handle, name, how):
    path = pulled.directory(handle)
    damage(path / name, how)
    ran = pulled.fnet("presets", "verify", handle, "--format", "json")
    assert ran.returncode == 6
    assert json.loads(ran.stdout)[0]["state"] == "damaged"
    error, hint = ran.stderr.splitlines()
    assert error.startswith(f"fnet: error: {handle}: {name} ")
    assert hint.startswith(f"fnet: hint: repair it: fnet presets pull {handle}")
    repair = hint.split()[-1]
    pulled.pull(repair)
    # In the hub's cache only a link has gone: its blob is still there.
    relinked = (handle, how) == (ON_HUB, "deleted")
    assert pulled.fetched(handle) in ([name], [] if relinked else [name])
    assert contents_of(path) == contents_of(presets["tiny"])
    pulled.ok("presets", "verify", handle)


@pytest.mark.parametrize("how", ["truncated", "deleted"])
def test_a_preset_with_a_file_cut_short_is_not_used_and_is_listed_as_damaged(pulled, handle, how):
    path = pulled.directory(handle)
    damage(path / WEIGHTS, how)
    ran = pulled.fnet("presets", "path", handle)
    error, hint = refusal(ran)
    assert ran.returncode == 6
    assert error.startswith(f"{path}: {WEIGHTS} ")
    assert hint.startswith("repair it: fnet presets pull ")
    ran = pulled.fnet("presets", "inspect", handle, "--json")
    assert (ran.returncode, ran.stderr.splitlines()) == (6, [
        f"fnet: error: {error}", f"fnet: hint: {hint}",
    ])  # fmt: skip
    found = json.loads(ran.stdout)
    assert (found["state"], found["refused"][0]) == ("invalid", error)
    assert (found["parameters"], found["provenance"]["handle"]) == (14_144, handle)
    assert (WEIGHTS in found["files"], VOCABULARY in found["files"]) == (how == "truncated", True)
    row = next(row for row in pulled.listed() if row["name"] == handle)
    assert row["state"] == "damaged"
    assert WEIGHTS in row["description"]


def test_verify_of_all_finds_the_one_that_is_damaged(pulled, handle):
    damage(pulled.directory(handle) / WEIGHTS, "same length")
    ran = pulled.fnet("presets", "verify", "--all", "--json")
    states = {row["preset"]: row["state"] for row in json.loads(ran.stdout)}
    other = ON_HUB if handle == ON_KAGGLE else ON_KAGGLE
    assert (ran.returncode, states) == (6, {handle: "damaged", other: "ok"})


def test_remove_takes_one_preset_away_and_leaves_the_other(pulled, handle):
    path = pulled.directory(handle)
    size, before = bytes_of(path), pulled.traces()
    heading, line = pulled.ok("presets", "remove", handle, "--dry-run").splitlines()
    name, kind, shown = line.split("\t")
    assert heading == "preset\tkind\tbytes"
    assert name.startswith(handle)
    assert (kind, shown) == ("revision", str(size))
    assert pulled.traces() == before
    ran = pulled.fnet("presets", "remove", handle, "--yes")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == f"fnet: removed {name}: {show_bytes(size)}\n"
    assert [row["name"] for row in pulled.listed()] == [other for other in BOTH if other != handle]
    left = pulled.traces()
    assert left == [file for file in before if file.startswith(left[0].split("/")[0])]
    ran = pulled.fnet("presets", "path", handle)
    assert ran.returncode == 4
    assert f"fnet presets pull {handle}" in refusal(ran)[1]


def test_remove_asks_nobody_where_there_is_no_terminal(pulled, handle):
    before = pulled.traces()
    ran = pulled.fnet("presets", "remove", handle)
    assert (ran.returncode, refusal(ran)[1]) == (2, "add --yes, or --dry-run to look first")
    assert pulled.traces() == before
