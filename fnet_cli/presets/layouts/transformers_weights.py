"""The tensors of transformers' FNet models, under our names and theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.backbone.parameters import LayerParameters, Parameter, layer_table
from fnet_cli.errors import PresetError
from fnet_cli.presets.layouts.safetensors_file import FLOAT_DTYPES, StoredTensor, read_header
from fnet_cli.presets.layouts.torch_pickle import PickledTensor, read_pickle

# Models with a head put the encoder under this name.
_HEAD_PREFIX = "fnet."
_OUTER_NAMES = {
    "token_embedding": "embeddings.word_embeddings",
    "position_embedding": "embeddings.position_embeddings",
    "segment_embedding": "embeddings.token_type_embeddings",
    "embeddings_layer_norm": "embeddings.LayerNorm",
    "embedding_projection": "embeddings.projection",
    "pooled_dense": "pooler.dense",
}
_INNER_NAMES = {
    "mixing_layer_norm": "fourier.output.LayerNorm",
    "intermediate_dense": "intermediate.dense",
    "output_dense": "output.dense",
    "output_layer_norm": "output.LayerNorm",
}
_WEIGHTS = ("embeddings", "gamma", "kernel")


def state_dict_name(layer: LayerParameters, parameter: Parameter) -> str:
    """Return the name of a parameter in the state dict of transformers' FNetModel."""
    outer, _, inner = layer.path.partition("/")
    module = (
        f"encoder.layer.{outer.rpartition('_')[2]}.{_INNER_NAMES[inner]}"
        if inner
        else _OUTER_NAMES[outer]
    )
    return f"{module}.{'weight' if parameter.name in _WEIGHTS else 'bias'}"


def to_state_dict(
    config: BackboneConfig, tensors: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return tensors by parameter path under transformers' names; kernels transposed."""
    state = {}
    for layer in layer_table(config):
        for parameter in layer.parameters:
            tensor = np.asarray(tensors[f"{layer.path}/{parameter.name}"])
            state[state_dict_name(layer, parameter)] = np.ascontiguousarray(
                tensor.T if parameter.name == "kernel" else tensor
            )
    return state


class StateDict:
    """A checkpoint's tensors under our names; the headers of its files are checked on creation.

    Raises PresetError for a tensor that is missing, stands twice, or is of another shape than
    `config` implies.
    """

    def __init__(self, paths: Sequence[Path], directory: Path, config: BackboneConfig) -> None:
        needed = {
            state_dict_name(layer, parameter)
            for layer in layer_table(config)
            for parameter in layer.parameters
        }
        stored: dict[str, StoredTensor | PickledTensor] = {}
        for path in paths:
            read = read_header if path.suffix == ".safetensors" else read_pickle
            for name, tensor in read(path).items():
                if name.removeprefix(_HEAD_PREFIX) not in needed:
                    continue  # of a head, or of nothing: not to be kept in memory either
                if stored.setdefault(name, tensor) is not tensor:
                    raise PresetError(f"{path}: {name!r:.80} stands in another file too")
        self._tensors = {
            f"{layer.path}/{parameter.name}": (
                _checked(stored, directory, layer, parameter),
                parameter.name == "kernel",
            )
            for layer in layer_table(config)
            for parameter in layer.parameters
        }

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (parameter path, array) in the order of `layer_table`, in the stored dtype."""
        for name, (stored, transposed) in self._tensors.items():
            array = stored.read()
            yield name, array.T if transposed else array

    def dtypes(self) -> set[str]:
        """Return the names of the dtypes the tensors are stored in."""
        return {FLOAT_DTYPES[stored.dtype] for stored, _ in self._tensors.values()}


def _checked(
    stored: Mapping[str, StoredTensor | PickledTensor],
    directory: Path,
    layer: LayerParameters,
    parameter: Parameter,
) -> StoredTensor | PickledTensor:
    name = state_dict_name(layer, parameter)
    tensor = stored.get(name) or stored.get(_HEAD_PREFIX + name)
    if tensor is None:
        raise PresetError(f"{directory}: the weights lack {name}")
    shape = parameter.shape[::-1] if parameter.name == "kernel" else parameter.shape
    if tensor.shape != shape:
        raise PresetError(
            f"{tensor.path}: {name} has shape {tensor.shape}, the config implies {shape}"
        )
    if tensor.dtype not in FLOAT_DTYPES:
        raise PresetError(f"{tensor.path}: {name} is stored as {tensor.dtype}, not as a float")
    return tensor
