"""Presets to serve, hubs that serve them, and users who have pulled them or not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import TINY, add_vocabulary, vocabulary, write_preset
from scene import BOTH, Scene, copy_caches, new_scene

from fnet_cli.backbone.config import BackboneConfig

# Some megabytes of weights, of which most are token embeddings.
LARGE = BackboneConfig(24_000, 1, 32, 64, max_sequence_length=40)
_REAL = ("KAGGLE", "HF_", "HUGGINGFACE", "FNET_", "AWS_", "XDG_")


@pytest.fixture(autouse=True, scope="session")
def _nothing_real() -> Iterator[None]:
    """Keep the real user's credentials, caches and proxies out of every process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(_REAL) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="session")
def presets(tmp_path_factory) -> dict[str, Path]:
    """Directories of presets: tiny, large, and a newer state of tiny."""
    root, model = tmp_path_factory.mktemp("presets"), vocabulary()
    for name, config in {"tiny": TINY, "large": LARGE}.items():
        write_preset(root / name, config)
        add_vocabulary(root / name, model)
    write_preset(root / "newer", dtype="mixed_bfloat16")
    add_vocabulary(root / "newer", model)
    return {name: root / name for name in ("tiny", "large", "newer")}


@pytest.fixture
def scene(tmp_path, presets) -> Iterator[Scene]:
    """A user who has pulled nothing."""
    made = new_scene(tmp_path / "user", presets["tiny"], presets["large"])
    with made.kaggle, made.hub:
        yield made


@pytest.fixture(scope="session")
def _first_pull(tmp_path_factory, presets, _nothing_real) -> Scene:
    """A user who has pulled tiny from both hubs."""
    made = new_scene(tmp_path_factory.mktemp("pulled"), presets["tiny"], presets["large"])
    with made.kaggle, made.hub:
        made.pull(*BOTH)
    return made


@pytest.fixture
def pulled(scene, _first_pull) -> Scene:
    """A user who has pulled tiny from both hubs, a while ago."""
    copy_caches(_first_pull, scene)
    return scene
