"""transformers' checkpoints are read as data, and converted both ways."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from builders import TINY, add_vocabulary, random_tensors, vocabulary, write_preset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from fnet_cli.config import Settings
from fnet_cli.errors import ExitCode, FnetError, OutputError, PresetError, UnsafePresetError
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.layouts.transformers_weights import to_state_dict
from fnet_cli.presets.resolving import LocalPreset, resolve_preset

TENSORS = random_tensors(TINY)
WEIGHTS = "model.safetensors"


def resolve(directory: Path) -> LocalPreset:
    return resolve_preset(str(directory), Settings())


def tensors_of(directory: Path) -> dict[str, np.ndarray]:
    preset = resolve(directory)
    with preset.layout.open_weights(preset.directory, preset.config) as source:
        return dict(source.tensors())


def assert_has(directory: Path, tensors=TENSORS) -> None:
    read = tensors_of(directory)
    assert list(read) == list(tensors)
    for name, tensor in tensors.items():
        assert np.array_equal(read[name], tensor), name


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Return a directory in transformers' format, converted from ours."""
    write_preset(tmp_path / "keras", TINY, TENSORS)
    add_vocabulary(tmp_path / "keras", vocabulary())
    convert_preset(resolve(tmp_path / "keras"), tmp_path / "torch", "transformers")
    return tmp_path / "torch"


def change_config(directory: Path, **changes) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_converted_preset_has_the_same_sizes_weights_and_vocabulary(checkpoint):
    assert resolve(checkpoint).config == TINY
    assert resolve(checkpoint).vocabulary == checkpoint / "spiece.model"
    assert_has(checkpoint)


def test_converting_there_and_back_changes_nothing(checkpoint, tmp_path):
    convert_preset(resolve(checkpoint), tmp_path / "back", "keras")
    assert_has(tmp_path / "back")
    ours, again = (resolve(tmp_path / name).vocabulary.read_bytes() for name in ("keras", "back"))
    assert ours == again
    assert json.loads((tmp_path / "back/tokenizer.json").read_text())["config"]["proto"] is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_float_dtype_survives_the_conversion(tmp_path, dtype):
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    stored = {name: tensor.astype(kind) for name, tensor in TENSORS.items()}
    write_preset(tmp_path / "keras", TINY, stored)
    convert_preset(resolve(tmp_path / "keras"), tmp_path / "torch", "transformers")
    assert_has(tmp_path / "torch", stored)


def test_a_model_with_a_head_is_read_without_it(checkpoint):
    state = {f"fnet.{name}": tensor for name, tensor in load_file(checkpoint / WEIGHTS).items()}
    save_file({**state, "classifier.weight": np.zeros((2, 32), "f4")}, checkpoint / WEIGHTS)
    change_config(checkpoint, architectures=["FNetForSequenceClassification"], id2label={"0": "a"})
    assert_has(checkpoint)


def test_a_sharded_checkpoint_is_read(checkpoint):
    state = load_file(checkpoint / WEIGHTS)
    names = sorted(state)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, members in parts.items():
        save_file({name: state[name] for name in members}, checkpoint / file)
    (checkpoint / WEIGHTS).unlink()
    where = {name: file for file, members in parts.items() for name in members}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    assert_has(checkpoint)


def test_the_model_loads_it(checkpoint, tmp_path):
    from fnet_cli import FNetBackbone

    inputs = {name: np.arange(10).reshape(2, 5) % 4 for name in ("token_ids", "segment_ids")}
    ours, theirs = (
        np.asarray(FNetBackbone.from_preset(tmp_path / name)(inputs)["sequence_output"])
        for name in ("keras", "torch")
    )
    assert np.array_equal(ours, theirs)


def test_an_existing_destination_is_kept(checkpoint, tmp_path):
    with pytest.raises(OutputError, match="exists"):
        convert_preset(resolve(tmp_path / "keras"), checkpoint, "transformers")
    assert_has(checkpoint)


def test_a_destination_that_cannot_be_is_an_output_error(checkpoint, tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        convert_preset(resolve(checkpoint), tmp_path / "nowhere" / "new", "keras")


# --- Refusals ---------------------------------------------------------------------------------


def with_header(change: Callable[[dict], object]) -> Callable[[Path], None]:
    """Rewrite the header by `change`, which edits it or returns another document."""

    def apply(directory: Path) -> None:
        path = directory / WEIGHTS
        data = path.read_bytes()
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])
        changed = change(header)
        text = changed if isinstance(changed, bytes) else json.dumps(changed or header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])

    return apply


BIAS = "pooler.dense.bias"


def edit(**changes) -> Callable[[Path], None]:
    return with_header(lambda header: header[BIAS].update(changes))


def state_with(**changes) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        state = {**load_file(directory / WEIGHTS), **{BIAS: changes.get("bias")}}
        save_file({k: v for k, v in state.items() if v is not None}, directory / WEIGHTS)

    return apply


def write_bytes(data: bytes) -> Callable[[Path], None]:
    return lambda directory: (directory / WEIGHTS).write_bytes(data) and None


def only_a_pickle(directory: Path) -> None:
    (directory / WEIGHTS).rename(directory / "pytorch_model.bin")


def index_of(name: object) -> Callable[[Path], None]:
    def apply(directory: Path) -> None:
        (directory / WEIGHTS).unlink()
        index = {"weight_map": {BIAS: name}}
        (directory / "model.safetensors.index.json").write_text(json.dumps(index))

    return apply


def config(**changes) -> Callable[[Path], None]:
    return lambda directory: change_config(directory, **changes)


def no_weights(directory: Path) -> None:
    (directory / WEIGHTS).unlink()


HOSTILE = {
    "a pickle": (only_a_pickle, UnsafePresetError, "pytorch_model.bin: a pickle can run code"),
    "no weights": (no_weights, PresetError, "has no model.safetensors"),
    "an empty file": (write_bytes(b""), PresetError, "not a safetensors file"),
    "a huge header": (write_bytes(b"\xff" * 64), PresetError, "not a safetensors file"),
    "a header that is no JSON": (write_bytes(b"\x04" + bytes(7) + b"abcd"), PresetError, "bad saf"),
    "a header that is a list": (with_header(lambda h: [1]), PresetError, "no JSON object"),
    "a name twice": (with_header(lambda h: b'{"a": 1, "a": 2}'), PresetError, "stands twice"),
    "an unknown dtype": (edit(dtype="PICKLE"), PresetError, "malformed entry"),
    "a dtype that is a list": (edit(dtype=["F32"]), PresetError, "malformed entry"),
    "a dtype of another width": (edit(dtype="F64"), PresetError, "do not fit its shape"),
    "a negative size": (edit(shape=[-32]), PresetError, "malformed entry"),
    "a shape bomb": (edit(shape=[2**40, 2**40]), PresetError, "do not fit its shape"),
    "a fractional size": (edit(shape=[32.0]), PresetError, "malformed entry"),
    "an extra key": (edit(code="x"), PresetError, "malformed entry"),
    "overlapping tensors": (edit(data_offsets=[0, 128]), PresetError, "overlap or leave gaps"),
    "offsets past the end": (edit(data_offsets=[2**40, 2**40 + 128]), PresetError, "overlap or"),
    "a missing tensor": (state_with(bias=None), PresetError, "the weights lack pooler.dense.bias"),
    "another shape": (state_with(bias=np.zeros(31, "f4")), PresetError, r"has shape \(31,\)"),
    "integers": (state_with(bias=np.zeros(32, "i4")), PresetError, "stored as I32, not as a float"),
    "a shard above": (index_of("../m.safetensors"), UnsafePresetError, "not the name of a weight"),
    "a shard of another kind": (index_of("m.bin"), UnsafePresetError, "not the name of a weight"),
    "a missing shard": (index_of("m.safetensors"), PresetError, "m.safetensors: No such file"),
    "another model": (config(model_type="bert"), PresetError, "is a model of type 'bert'"),
    "another activation": (config(hidden_act="relu"), PresetError, "activation 'relu'"),
    "another epsilon": (config(layer_norm_eps=1e-5), PresetError, "layer_norm_eps 1e-05 is not"),
    "too many parameters": (
        config(hidden_size=65536, intermediate_size=262144, num_hidden_layers=512),
        UnsafePresetError, "over the limit",
    ),
    "a size that is text": (config(hidden_size="32"), PresetError, "hidden_dim must be an integer"),
    "other sizes": (config(vocab_size=61), PresetError, r"the config implies \(61, 32\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_checkpoint_with_this_is_refused(checkpoint, case):
    damage, error, message = HOSTILE[case]
    damage(checkpoint)
    with pytest.raises(error, match=message) as caught:
        tensors_of(checkpoint)
    assert caught.value.exit_code == ExitCode.PRESET
    assert str(checkpoint) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_cut_short_is_refused(checkpoint):
    path = checkpoint / WEIGHTS
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PresetError, match="its tensors take"):
        tensors_of(checkpoint)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_change_to_the_header_is_read_or_refused_in_one_line(checkpoint, data):
    path = checkpoint / WEIGHTS
    whole = path.read_bytes()
    place = data.draw(st.integers(0, 600))
    changed = whole[:place] + data.draw(st.binary(min_size=1, max_size=3)) + whole[place + 1 :]
    path.write_bytes(changed)
    try:
        tensors_of(checkpoint)
    except FnetError as error:
        assert "\n" not in str(error)
    finally:
        path.write_bytes(whole)


def test_to_state_dict_transposes_kernels_only():
    state = to_state_dict(TINY, TENSORS)
    assert np.array_equal(state["pooler.dense.weight"], TENSORS["pooled_dense/kernel"].T)
    assert np.array_equal(
        state["embeddings.word_embeddings.weight"], TENSORS["token_embedding/embeddings"]
    )
