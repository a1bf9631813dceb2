"""One file carries a preset to another machine."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tarfile
from pathlib import Path

import h5py
import pytest
from builders import TINY, random_tensors, write_preset
from presets.machines import (
    HANDLES,
    HUGGING_FACE,
    KAGGLE,
    contents,
    exported,
    local,
    machine,
    pulled,
    write_source,
)

from fnet_cli.config import Settings
from fnet_cli.errors import (
    IntegrityError,
    OutputError,
    PresetError,
    PresetNotFoundError,
    UnsafePresetError,
    UsageError,
)
from fnet_cli.presets.archive import export_preset, import_archive, read_archive
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.resolving import resolve_preset
from fnet_cli.presets.store.recording import problems

WEIGHTS = "model.weights.h5"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("source") / "preset")


# --- There and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("text", HANDLES)
def test_a_pulled_preset_is_found_offline_on_the_other_machine(tmp_path, source, text):
    archive = exported(text, source, tmp_path)
    here = machine(tmp_path / "here")
    name = str(parse_handle(text).unpinned)
    with pytest.raises(PresetNotFoundError):
        resolve_preset(name, here)
    directory = import_archive(archive, here)
    found = resolve_preset(name, here)
    assert found.directory == directory
    assert found.config == TINY
    own = contents(source)
    del own["notes.txt"]
    assert {name: found.cached.file(name).read_bytes() for name in own} == own
    assert found.cached.manifest.by_name == read_archive(archive).manifest.by_name
    with found.open_weights() as weights:
        assert list(dict(weights.tensors())) == list(random_tensors(TINY))


def test_a_kaggle_preset_is_marked_for_its_client(tmp_path, source):
    directory = import_archive(exported(KAGGLE, source, tmp_path), machine(tmp_path / "here"))
    markers = directory.parent / ".complete" / "2"
    names = {path.relative_to(directory).as_posix() for path in directory.rglob("*.*")}
    assert names == {
        path.relative_to(markers).as_posix().removesuffix(".complete")
        for path in markers.rglob("*.complete")
    }


def test_hugging_faces_client_finds_what_was_imported(tmp_path, source):
    from huggingface_hub import try_to_load_from_cache

    archive = exported(HUGGING_FACE, source, tmp_path, requested="main")
    here = machine(tmp_path / "here")
    directory = import_archive(archive, here)
    found = try_to_load_from_cache(
        "google/fnet", "model.weights.h5", cache_dir=here.huggingface_cache
    )
    assert found == str(directory / "model.weights.h5")
    blobs = {path.name for path in (directory.parent.parent / "blobs").iterdir()}
    assert {len(name) for name in blobs} == {40, 64}


def test_a_branch_means_the_imported_commit(tmp_path, source):
    archive = exported(HUGGING_FACE, source, tmp_path, requested="v1")
    here = machine(tmp_path / "here")
    assert import_archive(archive, here) == resolve_preset("hf://google/fnet@v1", here).directory
    with pytest.raises(PresetNotFoundError):
        resolve_preset("hf://google/fnet", here)


def test_a_bundled_preset_becomes_a_directory(tmp_path):
    archive = tmp_path / "mini.tar"
    record = export_preset(resolve_preset("f_net_mini_en", Settings()), archive)
    assert (record.handle, record.source) == ("", "directory")
    with pytest.raises(UsageError, match="mini.tar holds a preset of no hub") as caught:
        import_archive(archive, machine(tmp_path))
    assert "-o DIR" in caught.value.hint
    assert import_archive(archive, machine(tmp_path), directory=tmp_path / "mini")
    assert local(tmp_path / "mini").config == local(tmp_path / "mini").config
    assert set(contents(tmp_path / "mini")) == set(record.by_name)
    assert stat.S_IMODE((tmp_path / "mini").stat().st_mode) == 0o755


def test_a_pulled_preset_can_become_a_directory_too(tmp_path, source):
    archive = exported(KAGGLE, source, tmp_path)
    import_archive(archive, machine(tmp_path / "here"), directory=tmp_path / "new")
    assert local(tmp_path / "new").config == TINY
    assert not (tmp_path / "here").exists()


@pytest.mark.parametrize("to", ["keras", "transformers"])
def test_only_the_presets_own_files_are_taken(tmp_path, source, to):
    convert_preset(local(source), tmp_path / "one", to)
    (tmp_path / "one" / "secret.json").write_text("{}")
    (tmp_path / "one" / "pytorch_model.bin").write_bytes(b"")
    record = export_preset(local(tmp_path / "one"), tmp_path / "one.tar")
    assert not {"secret.json", "pytorch_model.bin"} & set(record.by_name)
    import_archive(tmp_path / "one.tar", Settings(), directory=tmp_path / "two")
    with local(tmp_path / "two").open_weights() as weights:
        for name, tensor in weights.tensors():
            assert (tensor == random_tensors(TINY)[name]).all()


def test_the_archive_is_a_plain_tar_file_and_always_the_same(tmp_path, source):
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    export_preset(local(source), first)
    copied = shutil.copytree(source, tmp_path / "copied")
    os.utime(copied / "config.json", (0, 0))
    (copied / "config.json").chmod(0o600)
    export_preset(local(copied), second)
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        members = tar.getmembers()
        assert json.load(tar.extractfile("fnet-preset.json"))["layout"] == "keras"
    assert [info.name for info in members] == [
        "fnet-preset.json", "files/config.json", "files/assets/tokenizer/vocabulary.spm",
        "files/metadata.json", "files/model.weights.h5",
    ]  # fmt: skip
    for info in members:
        assert (info.mtime, info.uid, info.gid, info.mode, info.uname) == (0, 0, 0, 0o644, "")
        assert not info.pax_headers


def test_importing_twice_changes_nothing(tmp_path, source):
    archive = exported(KAGGLE, source, tmp_path)
    here = machine(tmp_path / "here")
    import_archive(archive, here)
    before = contents(here.kaggle_cache / "models/keras/f_net/keras/f_net_base_en/2")
    directory = import_archive(archive, here)
    assert contents(directory) == before


@pytest.mark.parametrize("text", HANDLES)
def test_importing_repairs_a_damaged_file(tmp_path, source, text):
    archive = exported(text, source, tmp_path)
    here = machine(tmp_path / "here")
    directory = import_archive(archive, here)
    (directory / WEIGHTS).resolve().write_bytes(b"damaged")
    assert import_archive(archive, here) == directory
    assert (directory / WEIGHTS).read_bytes() == (source / WEIGHTS).read_bytes()


def test_no_connection_is_made(tmp_path, source, monkeypatch):
    archive = exported(HUGGING_FACE, source, tmp_path)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("connected"))
    import_archive(archive, machine(tmp_path / "here"), force=True)


# --- What is in the way -----------------------------------------------------------------------


@pytest.mark.parametrize("text", HANDLES)
def test_other_files_of_the_same_revision_are_replaced_by_force_only(tmp_path, source, text):
    archive = exported(text, source, tmp_path)
    other = tmp_path / "other"
    write_preset(other, TINY, random_tensors(TINY, seed=1))
    here = machine(tmp_path / "here")
    preset = pulled(text, other, here)
    with pytest.raises(OutputError, match="is on this machine, and its") as caught:
        import_archive(archive, here)
    assert "--force" in caught.value.hint
    assert preset.file(WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()
    import_archive(archive, here, force=True)
    assert preset.file(WEIGHTS).read_bytes() == (source / WEIGHTS).read_bytes()
    assert problems(preset, preset.manifest) == []


def test_weights_in_one_file_go_where_shards_come(tmp_path, source):
    sharded = shutil.copytree(source, tmp_path / "sharded")
    (sharded / WEIGHTS).rename(sharded / "part.h5")
    with h5py.File(sharded / "part.h5") as file:
        groups: list[str] = []
        file.visit(lambda name: groups.append(name) if name.endswith("vars") else None)
    index = {"weight_map": {f"/{name}": "part.h5" for name in groups}}
    (sharded / "model.weights.json").write_text(json.dumps(index))
    archive = exported(KAGGLE, sharded, tmp_path)
    here = machine(tmp_path / "here")
    preset = pulled(KAGGLE, source, here)
    with pytest.raises(OutputError, match="is on this machine"):
        import_archive(archive, here)
    import_archive(archive, here, force=True)
    assert preset.file(WEIGHTS) is None
    assert [path.name for path in resolve_preset(KAGGLE, here).weight_files] == ["part.h5"]


def test_an_existing_file_is_kept(tmp_path, source):
    path = tmp_path / "preset.tar"
    path.write_text("precious")
    with pytest.raises(OutputError, match="preset.tar exists"):
        export_preset(local(source), path)
    assert path.read_text() == "precious"
    export_preset(local(source), path, overwrite=True)
    assert read_archive(path).manifest.layout == "keras"
    with pytest.raises(OutputError, match="exists"):
        export_preset(local(source), tmp_path, overwrite=True)


def test_an_existing_directory_is_kept(tmp_path, source):
    export_preset(local(source), tmp_path / "preset.tar")
    for force in (False, True):
        with pytest.raises(OutputError, match="exists"):
            import_archive(tmp_path / "preset.tar", Settings(), directory=tmp_path, force=force)


def test_a_place_that_is_not_there_is_named(tmp_path, source):
    export_preset(local(source), tmp_path / "preset.tar")
    nowhere = tmp_path / "nowhere" / "new"
    with pytest.raises(OutputError, match="there is no directory .*nowhere"):
        export_preset(local(source), nowhere)
    with pytest.raises(OutputError, match="there is no directory .*nowhere"):
        import_archive(tmp_path / "preset.tar", Settings(), directory=nowhere)


def test_a_cache_that_cannot_be_is_an_output_error(tmp_path, source):
    archive = exported(KAGGLE, source, tmp_path)
    (tmp_path / "here").write_text("a file where a directory should be")
    with pytest.raises(OutputError, match="cannot unpack it to"):
        import_archive(archive, machine(tmp_path / "here"))


def test_a_full_disk_is_told_before_a_byte_is_written(tmp_path, source, monkeypatch):
    export_preset(local(source), tmp_path / "preset.tar")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"preset.tar needs [\d.]+ kB in .*where 1.0 kB are free"):
        import_archive(tmp_path / "preset.tar", Settings(), directory=tmp_path / "new")
    assert not list(tmp_path.glob("*new*"))


def test_a_link_that_leads_out_is_not_taken(tmp_path, source):
    copied = shutil.copytree(source, tmp_path / "preset")
    (copied / "metadata.json").rename(tmp_path / "metadata.json")
    (copied / "metadata.json").symlink_to(tmp_path / "metadata.json")
    with pytest.raises(UnsafePresetError, match="metadata.json: is a link that leads out"):
        export_preset(local(copied), tmp_path / "preset.tar")
    assert not list(tmp_path.glob("*.tar*"))


def test_a_file_that_is_not_the_pulled_one_stops_the_export(tmp_path, source):
    there = machine(tmp_path / "there")
    preset = pulled(KAGGLE, source, there)
    path = preset.file("assets/tokenizer/vocabulary.spm")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(IntegrityError, match="vocabulary.spm has changed") as caught:
        export_preset(resolve_preset(KAGGLE, there), tmp_path / "preset.tar")
    assert "fnet presets pull" in caught.value.hint
    assert not list(tmp_path.glob("*.tar*"))


def test_a_preset_that_would_not_load_is_not_exported(tmp_path, source):
    copied = shutil.copytree(source, tmp_path / "preset")
    (copied / "model.weights.h5").write_bytes(b"")
    with pytest.raises(PresetError, match="model.weights.h5"):
        export_preset(local(copied), tmp_path / "preset.tar")
