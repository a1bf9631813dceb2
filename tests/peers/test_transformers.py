"""The numbers are those of transformers' FNetModel with the same weights."""

from __future__ import annotations

import pytest
from builders import TINY, random_tensors, write_preset
from helpers import largest_difference, peer, random_inputs
from transformers_model import fnet_model, run_fnet_model

from fnet_cli import FNetBackbone
from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.config import Settings
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.encode_settings import EncodeSettings, Pooling, write_encode_settings
from fnet_cli.presets.resolving import resolve_preset

BASE = BackboneConfig(1000, 12, 768, 3072)


@pytest.mark.parametrize(
    ("config", "length"), [(TINY, 1), (TINY, 13), (TINY, 40), (BASE, 512)], ids=str
)
def test_outputs_equal_transformers(tmp_path, config, length):
    peer("torch")
    transformers = peer("transformers")
    tensors = write_preset(tmp_path, config, random_tensors(config))
    inputs = random_inputs(config, 2 if config is TINY else 1, length)
    theirs = run_fnet_model(fnet_model(transformers, config, tensors), inputs)
    assert largest_difference(FNetBackbone.from_preset(tmp_path)(inputs), theirs) <= 2e-5


@pytest.fixture
def converted(tmp_path):
    """Return (our preset, the same converted to transformers' format)."""
    write_preset(tmp_path / "keras")
    preset = resolve_preset(str(tmp_path / "keras"), Settings())
    convert_preset(preset, tmp_path / "torch", "transformers")
    return tmp_path / "keras", tmp_path / "torch"


def test_a_converted_directory_loads_in_transformers(converted):
    peer("torch")
    model = peer("transformers").FNetModel.from_pretrained(converted[1]).eval()
    inputs = random_inputs(TINY, 2, 17)
    made = FNetBackbone.from_preset(converted[0])(inputs)
    assert largest_difference(made, run_fnet_model(model, inputs)) <= 2e-5


def test_encode_settings_do_not_disturb_transformers(converted):
    peer("torch")
    transformers = peer("transformers")
    write_encode_settings(converted[0], EncodeSettings(Pooling.MEAN))
    preset = resolve_preset(str(converted[0]), Settings())
    convert_preset(preset, converted[1].with_name("kept"), "transformers")
    inputs = random_inputs(TINY, 2, 17)
    made, plain = (
        run_fnet_model(transformers.FNetModel.from_pretrained(directory).eval(), inputs)
        for directory in (converted[1].with_name("kept"), converted[1])
    )
    assert largest_difference(made, plain) == 0


@pytest.mark.parametrize("head", ["FNetModel", "FNetForPreTraining", "FNetForMaskedLM",
                                  "FNetForSequenceClassification"])  # fmt: skip
def test_what_transformers_saves_loads_here(converted, tmp_path, head):
    peer("torch")
    transformers = peer("transformers")
    config = transformers.FNetConfig.from_pretrained(converted[1])
    model = getattr(transformers, head)(config).eval()
    model.save_pretrained(tmp_path / "saved")
    inputs = random_inputs(TINY, 2, 17)
    theirs = run_fnet_model(model if head == "FNetModel" else model.fnet, inputs)
    assert largest_difference(FNetBackbone.from_preset(tmp_path / "saved")(inputs), theirs) <= 2e-5
