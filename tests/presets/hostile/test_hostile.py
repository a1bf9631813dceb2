"""Whatever a preset or an archive is, it is refused in one line, and nothing else happens."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from builders import TINY, add_vocabulary, random_tensors, vocabulary, write_preset
from presets.hostile import archives, checkpoints, configs, settings, vocabularies, weights
from presets.hostile.cases import Case
from presets.hostile.running import MEMORY_BYTES, SECRET, Machine, Run
from presets.hostile.tars import export, with_record, write_parts

from fnet_cli.config import Settings
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.resolving import resolve_preset

KERAS = [*configs.CASES, *weights.CASES, *vocabularies.CASES, *settings.CASES]
TRANSFORMERS = checkpoints.CASES
ARCHIVES = archives.CASES
OURS = ["kaggle", "keras/f_net/keras/f_net_base_en"]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a sound preset in each format, and an archive of one."""
    root = tmp_path_factory.mktemp("sound")
    write_preset(root / "first", TINY, random_tensors(TINY))
    add_vocabulary(root / "first", vocabulary())
    first = resolve_preset(str(root / "first"), Settings())
    convert_preset(first, root / "keras", "keras")  # which adds a tokenizer's configs
    convert_preset(first, root / "transformers", "transformers")
    (root / "archive").mkdir()
    archive = root / "archive" / archives.ARCHIVE
    source, location = OURS
    parts = with_record(
        export(root / "keras", archive),
        lambda manifest: replace(
            manifest, handle=f"{source}://{location}", source=source, revision="2"
        ),
    )
    write_parts(archive, parts)
    return root


@pytest.fixture
def machine(tmp_path: Path, sound: Path) -> Machine:
    made = Machine(tmp_path / "machine")
    shutil.copy(sound / "keras" / weights.WEIGHTS, made.root / "outside" / "weights.h5")
    shutil.copy(sound / "transformers" / checkpoints.WEIGHTS, made.root / "outside")
    return made


def built(machine: Machine, template: Path, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(template, machine.case)
    monkeypatch.chdir(machine.case)
    case.build(machine.case)


def check(case: Case, ran: Run, where: Path) -> None:
    assert ran.code == case.code, ran.errors
    assert ran.changed == []  # the canary would be among them
    assert ran.memory < MEMORY_BYTES
    assert SECRET not in "\n".join([ran.output, *ran.errors])
    if case.code == 0:
        assert ran.errors == []
        return
    first, *hints = ran.errors
    assert first.startswith("fnet: error: ")
    assert str(where) in first
    assert re.search(case.says, first), first
    assert len(first) < 600
    assert first.isprintable()
    assert len(hints) <= 1
    assert all(line.startswith("fnet: hint: ") for line in hints)


def named(cases: list[Case]) -> pytest.MarkDecorator:
    assert len({case.name for case in cases}) == len(cases)
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


@named(KERAS)
def test_a_preset_of_kerashub_with_this_is_refused(machine, sound, case, monkeypatch):
    built(machine, sound / "keras", case, monkeypatch)
    check(case, machine.run("presets", "inspect", machine.case), machine.case)


@named(TRANSFORMERS)
def test_a_checkpoint_of_transformers_with_this_is_refused(machine, sound, case, monkeypatch):
    built(machine, sound / "transformers", case, monkeypatch)
    check(case, machine.run("presets", "inspect", machine.case), machine.case)


@named(ARCHIVES)
def test_an_archive_with_this_is_refused(machine, sound, case, monkeypatch):
    built(machine, sound / "archive", case, monkeypatch)
    archive = machine.case / archives.ARCHIVE
    check(case, machine.run("presets", "import", archive), archive)


def test_what_the_cases_spoil_is_sound(machine, sound):
    for name in ("keras", "transformers"):
        assert machine.run("presets", "inspect", sound / name).code == 0
    ran = machine.run("presets", "import", sound / "archive" / archives.ARCHIVE)
    assert ran.code == 0
    location = OURS[1]
    assert {name for name in ran.changed if "/.complete/" not in name} >= {
        f"home/.cache/kagglehub/models/{location}/2/config.json",
        f"home/.cache/kagglehub/models/{location}/2/model.weights.h5",
    }


def test_the_corpus_is_as_large_as_it_must_be():
    assert len([case for case in (*KERAS, *TRANSFORMERS, *ARCHIVES) if case.code]) >= 45
