"""What the comparisons share."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import numpy as np
import pytest

from fnet_cli.backbone.config import BackboneConfig


def peer(name: str) -> ModuleType:
    """Import another implementation, or skip; with FNET_REQUIRE_PEERS=1, as in CI, fail."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        if os.environ.get("FNET_REQUIRE_PEERS") == "1":
            raise
        pytest.skip(f"{name} is not installed; pip install -e '.[peers]' brings it")


def random_inputs(config: BackboneConfig, batch: int, length: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(length)
    return {
        "token_ids": rng.integers(0, config.vocabulary_size, (batch, length)),
        "segment_ids": rng.integers(0, config.num_segments, (batch, length)),
    }


def largest_difference(made: dict, wanted: dict) -> float:
    return max(
        float(np.abs(np.asarray(made[name], "f8") - np.asarray(wanted[name], "f8")).max())
        for name in ("sequence_output", "pooled_output")
    )
