"""The model gives the numbers that transformers' FNetModel gave, also where it is not installed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from builders import TINY, random_tensors, write_preset

from fnet_cli import FNetBackbone

GOLDEN = json.loads((Path(__file__).parent.parent / "golden/transformers.json").read_text())


def test_outputs_equal_the_committed_ones_of_transformers(tmp_path):
    write_preset(tmp_path, TINY, random_tensors(TINY, seed=GOLDEN["seed"]))
    made = FNetBackbone.from_preset(tmp_path)(
        {name: np.array(GOLDEN[name]) for name in ("token_ids", "segment_ids")}
    )
    for name in ("sequence_output", "pooled_output"):
        wanted = np.array(GOLDEN[name])
        assert np.abs(np.asarray(made[name]).reshape(wanted.shape) - wanted).max() <= 2e-5
