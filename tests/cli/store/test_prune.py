"""`fnet presets prune`: what nobody needs goes, and nothing else."""

from __future__ import annotations

import json
import signal

import pytest
from fakes.content import files_under
from fakes.faults import stall
from scene import BOTH, LARGE_ON_HUB, LARGE_ON_KAGGLE, ON_HUB, ON_KAGGLE, WEIGHTS, wait_until

from fnet_cli.units import show_bytes


def large_partials(scene):
    return [path for path in scene.root.rglob("*.part") if path.stat().st_size > 500_000]


@pytest.mark.parametrize("handle", [LARGE_ON_KAGGLE, LARGE_ON_HUB])
def test_a_partial_file_stays_while_its_process_lives_and_goes_after_its_death(scene, handle):
    scene.server_of(handle).faults.append(stall(at=1_000_000, match=WEIGHTS, times=1))
    with scene.started("presets", "pull", handle, FNET_TIMEOUT="60") as process:
        (partial,) = wait_until(lambda: large_partials(scene))
        ran = scene.fnet("presets", "prune", "--yes")
        assert (ran.returncode, ran.stderr) == (0, "fnet: there is nothing to remove\n")
        assert partial.exists()
        process.send_signal(signal.SIGKILL)
        process.wait()
    size = partial.stat().st_size
    dry = scene.ok("presets", "prune", "--dry-run")
    assert dry == f"preset\tkind\tbytes\n{handle}\tpartial download\t{size}\n"
    assert partial.exists()
    ran = scene.fnet("presets", "prune", "--yes")
    assert (ran.returncode, ran.stdout) == (0, "")
    assert ran.stderr == f"fnet: removed partial download of {handle}: {show_bytes(size)}\n"
    assert not partial.exists()
    assert scene.listed() == []


def test_a_commit_that_was_replaced_goes_and_one_asked_for_by_commit_stays(pulled, presets):
    repo = pulled.hub.repos["owner/tiny"]
    old = repo.refs["main"]
    new = repo.commit(files_under(presets["newer"]))
    pulled.pull(ON_HUB)
    dry = json.loads(pulled.ok("presets", "prune", "--dry-run", "--json"))
    assert [(row["preset"], row["kind"]) for row in dry] == [
        (f"{ON_HUB}@{old}", "superseded revision")
    ]
    assert len(pulled.listed()) == 3
    pulled.ok("presets", "prune", "--yes")
    left = {row["revision"] for row in pulled.listed()}
    assert left == {new, "1"}
    pulled.ok("presets", "verify", "--all")  # blobs that both commits had are still there
    pulled.pull(f"{ON_HUB}@{old}")
    assert pulled.fnet("presets", "prune", "--yes").stderr == "fnet: there is nothing to remove\n"
    assert {row["revision"] for row in pulled.listed()} == {old, new, "1"}


def test_a_version_that_a_newer_one_replaced_goes(pulled, presets):
    pulled.kaggle.publish("owner/model/keras/tiny", 2, files_under(presets["newer"]))
    pulled.pull(ON_KAGGLE)
    ran = pulled.fnet("presets", "prune")
    assert (ran.returncode, "add --yes" in ran.stderr) == (2, True)
    dry = json.loads(pulled.ok("presets", "prune", "--dry-run", "--json"))
    assert json.loads(pulled.ok("presets", "prune", "--yes", "--json")) == dry
    assert json.loads(pulled.ok("presets", "prune", "--yes", "--json")) == []
    assert [row["revision"] for row in pulled.listed() if row["name"] == ON_KAGGLE] == ["2"]


def test_what_other_programs_fetched_stays(pulled):
    for path in pulled.root.rglob(".fnet/*.json"):
        path.unlink()
    before = pulled.traces()
    assert "nothing to remove" in pulled.fnet("presets", "prune", "--yes").stderr
    assert pulled.traces() == before
    assert pulled.states() == ["cached"] * len(BOTH)


def test_remove_of_one_revision_leaves_the_other(pulled, presets):
    new = pulled.hub.repos["owner/tiny"].commit(files_under(presets["newer"]))
    old = pulled.directory(ON_HUB).name
    pulled.pull(ON_HUB)
    pulled.ok("presets", "remove", f"{ON_HUB}@{old}", "--yes")
    assert {row["revision"] for row in pulled.listed()} == {new, "1"}
    pulled.ok("presets", "verify", "--all")
    pulled.ok("presets", "remove", ON_HUB, ON_KAGGLE, "--yes")
    assert (pulled.listed(), pulled.traces()) == ([], [])
