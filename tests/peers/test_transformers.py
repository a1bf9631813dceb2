"""The numbers are those of transformers' FNetModel with the same weights."""

from __future__ import annotations

import pytest
from builders import TINY, random_tensors, write_preset
from helpers import largest_difference, peer, random_inputs
from transformers_names import fnet_model, run_fnet_model

from fnet_cli import FNetBackbone
from fnet_cli.backbone.config import BackboneConfig

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
