"""Between preset directories and Keras models: the one module here that imports Keras."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fnet_cli.constants import CONFIG_FILE, METADATA_FILE, WEIGHTS_FILE
from fnet_cli.errors import OutputError
from fnet_cli.files import replacing
from fnet_cli.presets.layouts import keras_config
from fnet_cli.presets.layouts.keras_h5 import write_weights
from fnet_cli.presets.resolving import LocalPreset

if TYPE_CHECKING:
    from fnet_cli.backbone.model import FNetBackbone


def load_backbone(
    preset: LocalPreset,
    cls: type[FNetBackbone],
    *,
    load_weights: bool = True,
    **overrides: Any,
) -> FNetBackbone:
    """Build a `cls` from `preset`, whose constructor arguments `overrides` replace.

    Without a `dtype` among them the model is of Keras' global policy, as in KerasHub: what a
    preset was saved in says how it is stored, not how it is to be computed.

    Weights are checked against the preset's own config before the model is built, so that a
    file that lies costs no memory. Raises PresetError or UnsafePresetError.
    """
    from fnet_cli.backbone.model import weights_to_come

    arguments = {**preset.config.to_dict(), **overrides}
    if not load_weights:
        return cls(**arguments)
    with preset.open_weights() as source:
        with weights_to_come():
            model = cls(**arguments)
        variables = parameter_variables(model)
        for name, tensor in source.tensors():
            if tuple(variables[name].shape) != tensor.shape:
                raise ValueError(
                    f"{name} has shape {tuple(variables[name].shape)} with these arguments and "
                    f"{tensor.shape} in the preset; use load_weights=False to change sizes"
                )
            variables[name].assign(tensor.astype(variables[name].dtype, copy=False))
    return model


def parameter_variables(model: FNetBackbone) -> dict[str, Any]:
    """Return the model's Keras variables by parameter path, `f_net_layer_0/output_dense/bias`.

    The names and their order are those of `fnet_cli.backbone.parameters.layer_table`.
    """
    from fnet_cli.backbone.parameters import layer_table

    variables = {}
    for layer in layer_table(model.backbone_config):
        outer, _, inner = layer.path.partition("/")
        keras_layer = model.get_layer(outer)
        if inner:
            keras_layer = getattr(keras_layer, f"_{inner}")
        for parameter, variable in zip(layer.parameters, keras_layer.weights, strict=True):
            variables[f"{layer.path}/{parameter.name}"] = variable
    return variables


def save_backbone(model: FNetBackbone, directory: Path) -> None:
    """Write `model` to `directory` in KerasHub's preset format.

    Each file is replaced in one step, the config last, so that a directory that was not a preset
    becomes one only when it is complete. Raises OutputError.
    """
    import keras

    config = model.backbone_config
    tensors = {
        name: keras.ops.convert_to_numpy(variable)
        for name, variable in parameter_variables(model).items()
    }
    metadata = keras_config.metadata_document(config)
    document = keras_config.backbone_document(config, model.dtype_policy.name, model.name)

    def write_json(path: Path, value: dict[str, Any]) -> None:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(value, indent=4), encoding="utf-8")

    try:
        directory.mkdir(parents=True, exist_ok=True)
        with replacing(directory / WEIGHTS_FILE) as path:
            write_weights(path, config, tensors)
        write_json(directory / METADATA_FILE, metadata)
        write_json(directory / CONFIG_FILE, document)
    except OSError as error:
        raise OutputError(f"{directory}: cannot save the preset: {error}") from error
