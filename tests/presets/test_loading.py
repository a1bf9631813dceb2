"""Presets load into the model and are saved from it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from builders import TINY, random_tensors, write_preset

from fnet_cli import FNetBackbone
from fnet_cli.errors import OutputError, PresetError
from fnet_cli.presets.loading import parameter_variables

INPUTS = {
    "token_ids": np.arange(22).reshape(2, 11),
    "segment_ids": np.arange(22).reshape(2, 11) % 4,
}


def outputs(model: FNetBackbone) -> np.ndarray:
    return np.asarray(model(INPUTS)["sequence_output"]).astype("f4")


@pytest.mark.parametrize(
    "dtype", ["float32", "bfloat16", "float16", "mixed_bfloat16", "mixed_float16", "float64"]
)
def test_a_saved_model_loads_again_equal(tmp_path, dtype):
    model = FNetBackbone(**TINY.to_dict(), dtype=dtype)
    model.save_to_preset(tmp_path / "new" / "preset")
    again = FNetBackbone.from_preset(tmp_path / "new" / "preset", dtype=dtype)
    assert again.dtype_policy.name == dtype
    assert np.array_equal(outputs(model), outputs(again))


def test_without_a_dtype_a_preset_loads_in_keras_global_policy(tmp_path):
    FNetBackbone(**TINY.to_dict(), dtype="bfloat16").save_to_preset(tmp_path)
    assert FNetBackbone.from_preset(tmp_path).dtype_policy.name == "float32"
    assert json.loads((tmp_path / "config.json").read_text())["config"]["dtype"]["config"] == {
        "name": "bfloat16"
    }


def test_saving_leaves_complete_files_and_nothing_else(tmp_path):
    FNetBackbone(**TINY.to_dict()).save_to_preset(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "metadata.json", "model.weights.h5",
    }  # fmt: skip
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert metadata["parameter_count"] == FNetBackbone(**TINY.to_dict()).count_params()


def test_saving_where_that_is_not_possible_is_an_output_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot save the preset"):
        FNetBackbone(**TINY.to_dict()).save_to_preset(tmp_path / "file" / "preset")


def test_weights_arrive_where_they_belong(tmp_path):
    tensors = write_preset(tmp_path)
    for name, variable in parameter_variables(FNetBackbone.from_preset(tmp_path)).items():
        assert np.array_equal(np.asarray(variable), tensors[name]), name


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_weights_stored_in_half_precision_load_to_every_dtype(tmp_path, dtype):
    halves = {name: tensor.astype(np.float16) for name, tensor in random_tensors(TINY).items()}
    write_preset(tmp_path, TINY, halves)
    model = FNetBackbone.from_preset(tmp_path, dtype=dtype)
    assert model.dtype_policy.name == dtype
    assert np.isfinite(outputs(model)).all()


def test_arguments_override_the_preset(tmp_path):
    write_preset(tmp_path)
    model = FNetBackbone.from_preset(tmp_path, dropout=0.5, name="other", trainable=False)
    assert (model.dropout, model.name, model.trainable) == (0.5, "other", False)


def test_weights_can_be_left_out(tmp_path: Path):
    write_preset(tmp_path)
    (tmp_path / "model.weights.h5").unlink()
    model = FNetBackbone.from_preset(tmp_path, load_weights=False, max_sequence_length=99)
    assert model.max_sequence_length == 99
    with pytest.raises(PresetError, match=r"has no model\.weights\.h5"):
        FNetBackbone.from_preset(tmp_path)


def test_an_argument_that_changes_a_weights_shape_is_refused(tmp_path):
    write_preset(tmp_path)
    with pytest.raises(ValueError, match=r"position_embedding.*\(41, 32\).*\(40, 32\)"):
        FNetBackbone.from_preset(tmp_path, max_sequence_length=41)


def test_a_subclass_loads_as_itself(tmp_path):
    class Small(FNetBackbone):
        pass

    write_preset(tmp_path)
    assert type(Small.from_preset(tmp_path)) is Small


def test_the_bundled_preset_loads():
    model = FNetBackbone.from_preset("f_net_mini_en")
    assert model.count_params() == FNetBackbone.presets["f_net_mini_en"]["metadata"]["params"]
    assert np.isfinite(outputs(model)).all()
