"""Weight files: every layout that was ever written is read, and nothing else."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from builders import TINY, random_tensors, write_config, write_preset

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.constants import SHARDED_WEIGHTS_FILE, WEIGHTS_FILE
from fnet_cli.errors import ExitCode, PresetError, UnsafePresetError
from fnet_cli.presets.fingerprint import file_sha256, weights_sha256
from fnet_cli.presets.layouts.keras_h5 import WeightReader
from fnet_cli.presets.resolving import resolve_preset

TENSORS = random_tensors(TINY)


def assert_reads(directory: Path, config: BackboneConfig = TINY) -> None:
    with WeightReader(directory, config) as reader:
        read = dict(reader.tensors())
    assert list(read) == list(TENSORS)
    for name, tensor in TENSORS.items():
        assert np.array_equal(read[name], tensor), name


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    write_preset(tmp_path, TINY, TENSORS)
    return tmp_path


def rename(directory: Path, *moves: tuple[str, str]) -> None:
    with h5py.File(directory / WEIGHTS_FILE, "r+") as file:
        for old, new in moves:
            file.move(old, new)


# --- Layouts ----------------------------------------------------------------------------------


def test_what_keras_3_writes_is_read(preset):
    assert_reads(preset)


def test_the_top_group_of_keras_2_13_is_read(preset):
    rename(preset, ("layers", "_layer_checkpoint_dependencies"))
    assert_reads(preset)


@pytest.mark.parametrize("top", ["layers", "_layer_checkpoint_dependencies"])
def test_two_plain_embeddings_of_before_august_2023_are_read(preset, top):
    rename(
        preset,
        ("layers/embedding", "layers/embedding_1"),
        ("layers/reversible_embedding", "layers/embedding"),
    )
    if top != "layers":
        rename(preset, ("layers", top))
    assert_reads(preset)


ATTRIBUTES = {
    "reversible_embedding": "token_embedding",
    "position_embedding": "position_embedding",
    "embedding": "segment_embedding",
    "layer_normalization": "embeddings_layer_norm",
    "dense": "embedding_projection",
    "dense_1": "pooled_dense",
}


def test_attribute_paths_are_read(preset):
    rename(preset, *((f"layers/{old}", new) for old, new in ATTRIBUTES.items()))
    rename(preset, ("layers", "transformer_layers"))
    assert_reads(preset)


def test_attribute_paths_beside_a_group_of_layers_are_read(preset):
    rename(preset, ("layers/reversible_embedding", "token_embedding"))
    assert_reads(preset)


def shard(directory: Path, *, as_list: bool, split: bool) -> None:
    """Spread the weights over two files as Keras does, optionally through a layer."""
    whole = directory / WEIGHTS_FILE
    groups: dict[str, object] = {}
    with h5py.File(whole, "r") as source:
        paths: list[str] = []
        source.visit(lambda name: paths.append(name) if name.endswith("vars") else None)
        names = [f"model_{i:05}.weights.h5" for i in range(2)]
        files = [h5py.File(directory / name, "w") for name in names]
        for number, path in enumerate(paths):
            for key in source[path]:
                index = int(key) if split else number % 2
                files[index].require_group(path).create_dataset(key, data=source[path][key][()])
            used = [n for n, f in zip(names, files, strict=True) if path in f]
            groups[f"/{path}"] = used if as_list or len(used) > 1 else used[0]
        for file in files:
            file.close()
    whole.unlink()
    index = {"metadata": {"total_size": 1}, "weight_map": groups}
    (directory / SHARDED_WEIGHTS_FILE).write_text(json.dumps(index))


@pytest.mark.parametrize("as_list", [False, True])
@pytest.mark.parametrize("split", [False, True])
def test_sharded_weights_are_read(preset, as_list, split):
    shard(preset, as_list=as_list, split=split)
    assert_reads(preset)


@pytest.mark.parametrize("dtype", ["float16", "float64", "bfloat16", ">f4"])
def test_every_float_dtype_is_read_as_it_is_stored(tmp_path, dtype):
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    stored = {name: tensor.astype(kind) for name, tensor in TENSORS.items()}
    write_preset(tmp_path, TINY, stored)
    with WeightReader(tmp_path, TINY) as reader:
        for name, tensor in reader.tensors():
            assert tensor.dtype == kind.newbyteorder("=")
            assert np.array_equal(tensor.astype("f8"), stored[name].astype("f8")), name


# --- Refusals ---------------------------------------------------------------------------------

BIAS = "layers/dense_1/vars/1"


def with_file(change: Callable[[h5py.File, Path], None]) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        with h5py.File(directory / WEIGHTS_FILE, "r+") as file:
            change(file, directory)

    return apply


def replaced(path: str = BIAS, **dataset) -> Callable[[Path], None]:
    """Replace a dataset by one made with `dataset`, its data zeros of the right shape."""

    @with_file
    def apply(file: h5py.File, directory: Path) -> None:
        shape = file[path].shape
        del file[path]
        file.create_dataset(path, **{"data": np.zeros(shape, np.float32), **dataset})

    return apply


@with_file
def soft_link(file, directory):
    file.move("layers/dense_1", "elsewhere")
    file["layers/dense_1"] = h5py.SoftLink("/elsewhere")


@with_file
def external_link(file, directory):
    with h5py.File(directory / "other.h5", "w") as other:
        file.copy("layers/dense_1", other, "dense_1")
    del file["layers/dense_1"]
    file["layers/dense_1"] = h5py.ExternalLink("other.h5", "/dense_1")


@with_file
def soft_linked_dataset(file, directory):
    file.move(BIAS, "bias")
    file[BIAS] = h5py.SoftLink("/bias")


@with_file
def external_storage(file, directory):
    secret = directory / "secret"
    secret.write_bytes(bytes(128))
    del file[BIAS]
    file.create_dataset(BIAS, (32,), "f4", external=[(os.fspath(secret), 0, 128)])


@with_file
def virtual_dataset(file, directory):
    with h5py.File(directory / "other.h5", "w") as other:
        other["bias"] = np.zeros(32, np.float32)
    layout = h5py.VirtualLayout((32,), "f4")
    layout[:] = h5py.VirtualSource(os.fspath(directory / "other.h5"), "bias", (32,))
    del file[BIAS]
    file.create_virtual_dataset(BIAS, layout)


@with_file
def missing_dataset(file, directory):
    del file[BIAS]


@with_file
def missing_layer(file, directory):
    del file["layers/f_net_encoder_1/_output_dense"]


@with_file
def extra_variable(file, directory):
    file["layers/dense_1/vars/2"] = np.zeros(32, np.float32)


@with_file
def group_for_dataset(file, directory):
    del file[BIAS]
    file.create_group(BIAS)


@with_file
def dataset_for_group(file, directory):
    del file["layers/dense_1"]
    file["layers/dense_1"] = np.zeros(3)


@with_file
def no_bytes(file, directory):
    del file[BIAS]
    file.create_dataset(BIAS, (32,), "f4")


def cut_short(directory: Path) -> None:
    path = directory / WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-2000])


def not_hdf5(directory: Path) -> None:
    (directory / WEIGHTS_FILE).write_text("weights")


def no_file(directory: Path) -> None:
    (directory / WEIGHTS_FILE).unlink()


def index_of(weight_map: object) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        (directory / WEIGHTS_FILE).rename(directory / "model_00000.weights.h5")
        (directory / SHARDED_WEIGHTS_FILE).write_text(json.dumps({"weight_map": weight_map}))

    return apply


HOSTILE = {
    "a soft link to a layer": (soft_link, UnsafePresetError, "is a link to another place"),
    "a soft link to a dataset": (soft_linked_dataset, UnsafePresetError, "is a link to another"),
    "an external link": (external_link, UnsafePresetError, "is a link to another place"),
    "external storage": (external_storage, UnsafePresetError, "stored in another file"),
    "a virtual dataset": (virtual_dataset, UnsafePresetError, "stored in another file"),
    "a compressed dataset": (replaced(compression="gzip"), UnsafePresetError, "compressed"),
    "a checksum filter": (replaced(fletcher32=True), UnsafePresetError, "compressed or filtered"),
    "another shape": (replaced(data=np.zeros(31, "f4")), PresetError, r"has shape \(31,\)"),
    "a scalar": (replaced(data=np.float32(1)), PresetError, r"has shape \(\)"),
    "integers": (replaced(data=np.zeros(32, "i4")), PresetError, "stored as int32"),
    "text": (replaced(data=np.array([b"x"] * 32)), PresetError, "not as a float"),
    "opaque bytes without a mark": (replaced(data=np.zeros(32, "V2")), PresetError, "not as a fl"),
    "a wide float": (replaced(data=np.zeros(32, np.longdouble)), PresetError, "not as a float"),
    "a missing dataset": (missing_dataset, PresetError, "holds 1 variables, not 2"),
    "a missing layer": (missing_layer, PresetError, "no weights for f_net_layer_1/output_dense"),
    "a variable too many": (extra_variable, PresetError, "holds 3 variables, not 2"),
    "a group where a dataset should be": (group_for_dataset, PresetError, "is not a dataset"),
    "a dataset where a group should be": (dataset_for_group, PresetError, "no weights for pooled"),
    "a shape without bytes": (no_bytes, PresetError, "has 0 bytes of its 128"),
    "a file cut short": (cut_short, PresetError, "not a readable HDF5 file"),
    "a file of another kind": (not_hdf5, PresetError, "not a readable HDF5 file"),
    "no weight file": (no_file, PresetError, f"has no {WEIGHTS_FILE}"),
    "a shard above": (index_of({"/x/vars": "../m.h5"}), UnsafePresetError, "not the name of a w"),
    "an absolute shard": (index_of({"/x/vars": "/etc/m.h5"}), UnsafePresetError, "not the name"),
    "a shard that is a number": (index_of({"/x/vars": 3}), UnsafePresetError, "not the name of"),
    "a shard that is missing": (index_of({"/x/vars": "m.h5"}), PresetError, "m.h5: missing"),
    "no weight map": (index_of(None), PresetError, "has no weight_map"),
    "an empty weight map": (index_of({}), PresetError, "has no weight_map"),
    "too many shards": (
        index_of({f"/{i}/vars": f"m{i}.h5" for i in range(2000)}), UnsafePresetError, "more than",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_weight_file_with_this_is_refused(preset, case):
    damage, error, message = HOSTILE[case]
    damage(preset)
    with pytest.raises(error, match=message) as caught, WeightReader(preset, TINY) as reader:
        list(reader.tensors())
    assert caught.value.exit_code == ExitCode.PRESET
    assert str(preset) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_config_that_claims_more_than_the_file_has_takes_no_memory(tmp_path):
    write_preset(tmp_path, TINY, TENSORS)
    write_config(tmp_path, BackboneConfig(2_000_000, 2, 8192, 64, max_sequence_length=40))
    script = (
        "import resource, sys\n"
        "from fnet_cli import FNetBackbone\n"
        "from fnet_cli.errors import PresetError\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: FNetBackbone.from_preset(sys.argv[1])\n"
        "except PresetError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    # Far less than the 65 GB that the config claims, so that a regression fails and not the test.
    limit = 24 * 1024**3
    ran = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    message, grown = ran.stdout.splitlines()
    assert re.search(r"token_embedding/embeddings has shape \(60, 32\)", message)
    assert int(grown) < 100 * 1024


# --- Fingerprints -----------------------------------------------------------------------------


def hash_of(preset: Path) -> str:
    return weights_sha256(resolve_preset(str(preset), Settings()))


def test_the_hash_of_one_file_is_that_files(preset):
    assert hash_of(preset) == file_sha256(preset / WEIGHTS_FILE)


def test_the_hash_of_shards_is_that_of_their_list(preset):
    shard(preset, as_list=False, split=False)
    listed = subprocess.run(
        "sha256sum model_*.h5 | sha256sum", shell=True, cwd=preset, capture_output=True, text=True
    )
    assert hash_of(preset) == listed.stdout.split()[0]
