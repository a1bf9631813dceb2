"""A checkpoint that is a pickle: refused, unless the user allows it, and then only its tensors."""

from __future__ import annotations

import os

import pytest
from builders import TINY, random_tensors
from helpers import largest_difference, peer, random_inputs
from transformers_model import fnet_model, run_fnet_model

from fnet_cli import FNetBackbone
from fnet_cli.config import Settings
from fnet_cli.errors import PresetError, UnsafePresetError
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.loading import load_backbone
from fnet_cli.presets.resolving import resolve_preset


@pytest.fixture
def checkpoint(tmp_path):
    """A directory with a config and a pickled state dict; and the model that is in it."""
    torch = peer("torch")
    transformers = peer("transformers")
    model = fnet_model(transformers, TINY, random_tensors(TINY))
    model.config.save_pretrained(tmp_path / "pt")
    torch.save(model.state_dict(), tmp_path / "pt/pytorch_model.bin")
    return tmp_path / "pt", model


def resolved(directory, *, allow_pickle=True):
    return resolve_preset(str(directory), Settings(), allow_pickle=allow_pickle)


def test_a_pickle_is_refused_with_what_allows_it(checkpoint):
    with pytest.raises(UnsafePresetError, match="a pickle can run code") as caught:
        load_backbone(resolved(checkpoint[0], allow_pickle=False), FNetBackbone)
    assert "--allow-pickle" in caught.value.hint


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_an_allowed_pickle_gives_the_model_in_it(checkpoint, dtype):
    torch = peer("torch")
    directory, model = checkpoint
    model = model.to(getattr(torch, dtype))
    torch.save(model.state_dict(), directory / "pytorch_model.bin")
    inputs = random_inputs(TINY, 2, 13)
    made = load_backbone(resolved(directory), FNetBackbone, dtype="float32")(inputs)
    assert largest_difference(made, run_fnet_model(model.float(), inputs)) <= 2e-5


def test_a_converted_pickle_is_one_no_more(checkpoint, tmp_path):
    convert_preset(resolved(checkpoint[0]), tmp_path / "keras", "keras")
    inputs = random_inputs(TINY, 2, 13)
    made = FNetBackbone.from_preset(tmp_path / "keras")(inputs)
    assert largest_difference(made, run_fnet_model(checkpoint[1], inputs)) <= 2e-5


class Payload:
    """Creates a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_does_not_run_it_even_where_pickles_are_allowed(
    checkpoint, tmp_path
):
    torch = peer("torch")
    torch.save({"w": Payload(tmp_path / "canary")}, checkpoint[0] / "pytorch_model.bin")
    with pytest.raises(UnsafePresetError, match="more than tensors"):
        load_backbone(resolved(checkpoint[0]), FNetBackbone)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", b"PK\x03\x04 cut short"])
def test_a_damaged_pickle_is_an_error_of_its_file(checkpoint, content):
    (checkpoint[0] / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(PresetError, match="pytorch_model.bin"):
        load_backbone(resolved(checkpoint[0]), FNetBackbone)
