"""KerasHub reads what we write, we read what it writes, and the numbers are the same."""

from __future__ import annotations

import inspect

import keras
import numpy as np
import pytest
from builders import TINY, random_tensors, write_preset
from helpers import largest_difference, peer, random_inputs

from fnet_cli import FNetBackbone, FNetEncoder
from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.constants import VOCABULARY_FILE
from fnet_cli.presets.encode_settings import EncodeSettings, Pooling, write_encode_settings
from fnet_cli.presets.resolving import resolve_preset
from fnet_cli.tokenizer.special import read_special_ids

BASE = BackboneConfig(1000, 12, 768, 3072)
# keras_hub leaves the vocabulary's file to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def keras_hub():
    return peer("keras_hub")


def assert_equal_weights(ours, theirs) -> None:
    for a, b in zip(ours.trainable_weights, theirs.trainable_weights, strict=True):
        assert np.array_equal(np.asarray(a, "f4"), np.asarray(b, "f4")), a.path


@pytest.mark.parametrize("length", [1, 17, 40])
def test_a_preset_saved_by_kerashub_loads_here_with_equal_outputs(keras_hub, tmp_path, length):
    theirs = keras_hub.models.FNetBackbone(**TINY.to_dict())
    theirs.save_to_preset(str(tmp_path))
    inputs = random_inputs(TINY, 2, length)
    ours = FNetBackbone.from_preset(tmp_path)
    assert largest_difference(ours(inputs), theirs(inputs)) <= 2e-5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_sharded_preset_saved_by_kerashub_loads_here_bit_for_bit(keras_hub, tmp_path, dtype):
    theirs = keras_hub.models.FNetBackbone(**TINY.to_dict(), dtype=dtype)
    theirs.save_to_preset(str(tmp_path), max_shard_size=1.5e-5)
    assert len(list(tmp_path.glob("model_*.weights.h5"))) > 1
    assert_equal_weights(FNetBackbone.from_preset(tmp_path, dtype=dtype), theirs)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_bfloat16"])
def test_a_half_precision_preset_saved_by_kerashub_loads_here_bit_for_bit(
    keras_hub, tmp_path, dtype
):
    theirs = keras_hub.models.FNetBackbone(**TINY.to_dict(), dtype=dtype)
    theirs.save_to_preset(str(tmp_path))
    ours = FNetBackbone.from_preset(tmp_path, dtype=dtype)
    assert_equal_weights(ours, theirs)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16", "mixed_float16"])
def test_a_preset_saved_here_loads_in_kerashub(keras_hub, tmp_path, dtype):
    ours = FNetBackbone(**TINY.to_dict(), dtype=dtype)
    ours.save_to_preset(tmp_path)
    theirs = keras_hub.models.FNetBackbone.from_preset(str(tmp_path), dtype=dtype)
    inputs = random_inputs(TINY, 2, 23)
    # In half precision ours normalises and mixes in float32, so the roundings differ.
    limit = {"float32": 2e-5, "bfloat16": 0.1}.get(dtype, 0.015)
    assert largest_difference(ours(inputs), theirs(inputs)) <= limit


def test_encode_settings_do_not_disturb_kerashub(keras_hub, tmp_path):
    FNetBackbone(**TINY.to_dict()).save_to_preset(tmp_path)
    plain = keras_hub.models.FNetBackbone.from_preset(str(tmp_path))
    write_encode_settings(tmp_path, EncodeSettings(Pooling.MEAN))
    assert_equal_weights(keras_hub.models.FNetBackbone.from_preset(str(tmp_path)), plain)


def test_base_width_and_full_length_give_equal_outputs(keras_hub, tmp_path):
    write_preset(tmp_path, BASE, random_tensors(BASE))
    inputs = random_inputs(BASE, 1, 512)
    ours = FNetBackbone.from_preset(tmp_path)
    theirs = keras_hub.models.FNetBackbone.from_preset(str(tmp_path))
    assert largest_difference(ours(inputs), theirs(inputs)) <= 2e-5


def test_the_bundled_preset_and_its_tokenizer_load_in_kerashub(keras_hub):
    directory = resolve_preset("f_net_mini_en", Settings()).directory
    theirs = keras_hub.models.FNetBackbone.from_preset(str(directory))
    inputs = random_inputs(resolve_preset("f_net_mini_en", Settings()).config, 2, 64)
    ours = FNetBackbone.from_preset("f_net_mini_en")
    assert largest_difference(ours(inputs), theirs(inputs)) <= 2e-5
    tokenizer = keras_hub.models.FNetTokenizer.from_preset(str(directory))
    special = read_special_ids(directory / VOCABULARY_FILE)
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (
        special.pad, special.cls, special.sep,
    )  # fmt: skip


def test_the_bundled_preprocessor_packs_to_the_models_length(keras_hub):
    directory = resolve_preset("f_net_mini_en", Settings()).directory
    packer = keras_hub.models.FNetTextClassifierPreprocessor.from_preset(str(directory))
    packed = packer(["the quick brown fox"])
    special = read_special_ids(directory / VOCABULARY_FILE)
    assert packed["token_ids"].shape == packed["segment_ids"].shape == (1, 512)
    assert int(packed["token_ids"][0, 0]) == special.cls
    assert int(packed["token_ids"][0, -1]) == special.pad


def test_the_encoder_layer_gives_equal_outputs(keras_hub):
    arguments = {"intermediate_dim": 24, "activation": "gelu", "layer_norm_epsilon": 1e-6}
    ours, theirs = FNetEncoder(**arguments), keras_hub.layers.FNetEncoder(**arguments)
    x = np.random.default_rng(0).standard_normal((2, 7, 16)).astype(np.float32)
    ours(x), theirs(x)
    ours.set_weights(theirs.get_weights())
    difference = keras.ops.max(keras.ops.abs(ours(x) - theirs(x)))
    assert float(difference) <= 2e-5


def arguments_of(cls: type) -> dict[str, object]:
    return {name: p.default for name, p in inspect.signature(cls.__init__).parameters.items()}


def test_constructors_have_kerashubs_arguments_and_defaults(keras_hub):
    assert arguments_of(FNetBackbone) == arguments_of(keras_hub.models.FNetBackbone)
    assert arguments_of(FNetEncoder) == arguments_of(keras_hub.layers.FNetEncoder)


def test_the_presets_table_has_kerashubs_entries(keras_hub):
    theirs = keras_hub.models.FNetBackbone.presets
    ours = FNetBackbone.presets
    for name, entry in theirs.items():
        assert ours[name]["kaggle_handle"] == entry["kaggle_handle"]
        assert ours[name]["metadata"]["params"] == entry["metadata"]["params"]
