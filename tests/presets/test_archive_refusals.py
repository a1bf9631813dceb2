"""What is not exactly what was exported is refused, and nothing of it is left behind."""

from __future__ import annotations

import hashlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from builders import TINY, random_tensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from presets.hostile.tars import parts_of, recorded, with_file, with_record, write_parts
from presets.machines import HUGGING_FACE, KAGGLE, contents, exported, local, machine, write_source

from fnet_cli.config import Settings
from fnet_cli.errors import (
    FnetError,
    PresetError,
    PresetNotFoundError,
    UnsafePresetError,
)
from fnet_cli.presets.archive import export_preset, import_archive, read_archive
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.resolving import resolve_preset


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "preset")


# --- What is refused --------------------------------------------------------------------------


def test_a_pickle_needs_permission(tmp_path, source):
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file

    directory = tmp_path / "torch"
    convert_preset(local(source), directory, "transformers")
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    preset = resolve_preset(str(directory), Settings(), allow_pickle=True)
    assert export_preset(preset, tmp_path / "preset.tar").allow_pickle
    with pytest.raises(UnsafePresetError, match="pytorch_model.bin: a pickle can run code"):
        import_archive(tmp_path / "preset.tar", Settings(), directory=tmp_path / "new")
    import_archive(
        tmp_path / "preset.tar", Settings(), directory=tmp_path / "new", allow_pickle=True
    )
    assert (tmp_path / "new" / "pytorch_model.bin").is_file()


RECORDS: dict[str, tuple[Callable, str]] = {
    "another handle": (lambda m: replace(m, handle="../../etc"), "do not fit together"),
    "a built-in name for a handle": (lambda m: replace(m, handle="f_net_base_en"), "do not fit"),
    "a handle that climbs": (
        lambda m: replace(m, handle="kaggle://../x/keras/y"), "is not a handle of kaggle",
    ),
    "another source": (lambda m: replace(m, source="huggingface"), "do not fit together"),
    "a revision of another kind": (lambda m: replace(m, revision="main"), "is not a handle"),
    "another version asked for": (lambda m: replace(m, requested="3"), "do not fit together"),
    "a branch that climbs": (
        lambda m: replace(
            m, handle="hf://google/fnet", source="huggingface", revision="a" * 40,
            requested="../../x",
        ), "is not a handle",
    ),
    "no handle and a hub": (lambda m: replace(m, handle=""), "do not fit together"),
    "more parameters": (lambda m: replace(m, parameters=m.parameters + 1), "its record says"),
    "another dtype": (lambda m: replace(m, dtype="float64"), "its record says"),
    "another layout": (lambda m: replace(m, layout="transformers"), "its record says"),
}  # fmt: skip


@pytest.mark.parametrize("case", RECORDS)
def test_a_record_with_this_is_refused(tmp_path, source, case):
    change, message = RECORDS[case]
    archive = exported(KAGGLE, source, tmp_path)
    write_parts(archive, with_record(parts_of(archive), change))
    with pytest.raises(UnsafePresetError, match=message) as caught:
        import_archive(archive, machine(tmp_path / "here"))
    assert str(archive) in str(caught.value)
    assert not (tmp_path / "here").exists()


def test_weights_beside_the_weights_are_refused(tmp_path, source):
    archive = exported(KAGGLE, source, tmp_path)
    parts = parts_of(archive)
    write_parts(archive, with_file(parts, "other.h5", dict(parts)["files/model.weights.h5"]))
    with pytest.raises(UnsafePresetError, match="preset.tar: files/other.h5: is no part"):
        import_archive(archive, machine(tmp_path / "here"))


def test_weights_that_would_not_load_are_refused_and_nothing_is_published(tmp_path, source):
    archive = exported(HUGGING_FACE, source, tmp_path)
    parts = dict(parts_of(archive))
    parts["files/model.weights.h5"] = parts["files/model.weights.h5"][:-600]
    write_parts(archive, recorded(list(parts.items())))
    with pytest.raises(PresetError, match="preset.tar: files/model.weights.h5.*HDF5"):
        import_archive(archive, machine(tmp_path / "here"))
    assert not contents(tmp_path / "here")


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_one_damaged_byte_never_imports_anything_else(tmp_path_factory, source, data):
    directory = tmp_path_factory.mktemp("damaged")
    archive = exported(HUGGING_FACE, source, directory, requested="v1")
    whole = bytearray(archive.read_bytes())
    expected = read_archive(archive).manifest
    place = data.draw(st.integers(0, 6000) | st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    archive.write_bytes(whole)
    here = machine(directory / "here")
    try:
        found = import_archive(archive, here)
    except FnetError as error:
        assert str(archive) in str(error)
        assert "\n" not in str(error)
        assert not (directory / "here").exists() or not contents(directory / "here")
    else:
        preset = resolve_preset("hf://google/fnet@v1", here)
        assert preset.directory == found
        assert preset.cached.manifest.by_name == expected.by_name
        assert preset.cached.manifest.revision == expected.revision
        for name, file in expected.by_name.items():
            assert hashlib.sha256((found / name).read_bytes()).hexdigest() == file.sha256
    shutil.rmtree(directory)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_an_archive_cut_anywhere_is_refused(tmp_path_factory, source, data):
    directory = tmp_path_factory.mktemp("cut")
    export_preset(local(source), directory / "preset.tar")
    whole = (directory / "preset.tar").read_bytes()
    size = data.draw(st.integers(0, 6000) | st.integers(0, len(whole) - 1))
    (directory / "preset.tar").write_bytes(whole[:size])
    with pytest.raises(PresetError, match="cut short|not an archive"):
        import_archive(directory / "preset.tar", Settings(), directory=directory / "new")
    assert [path.name for path in directory.iterdir()] == ["preset.tar"]
    shutil.rmtree(directory)


# --- Killed -----------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from fnet_cli.config import Settings
from fnet_cli.presets.archive import import_archive

archive, root, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
count = 0

def hook(event, arguments):
    global count
    writes = event in ("os.rename", "os.symlink", "os.mkdir") or (
        event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("xwa"))
    if writes and str(arguments[0]).startswith(str(root)):
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
import_archive(archive, Settings(kaggle_cache=root / "kagglehub"))
print(count)
"""


def test_a_kill_at_any_step_leaves_nothing_that_is_listed_or_loaded(tmp_path, source):
    archive = exported(KAGGLE, source, tmp_path)

    def run(root: Path, at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", KILLED, str(archive), str(root), str(at)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    steps = int(run(tmp_path / "whole", 0).stdout)
    assert steps > 15
    for at in sorted({1, 3, *range(5, steps, 3), steps}):
        here = machine(tmp_path / str(at))
        killed = run(tmp_path / str(at), at)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        try:
            preset = resolve_preset("kaggle://keras/f_net/keras/f_net_base_en", here)
        except PresetNotFoundError:
            assert at < steps
        else:
            with preset.open_weights() as weights:
                assert len(dict(weights.tensors())) == len(random_tensors(TINY))
        assert import_archive(archive, here)
