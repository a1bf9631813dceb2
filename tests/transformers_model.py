"""transformers' FNetModel with our weights, and its outputs under Keras' names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.presets.layouts.transformers_weights import to_state_dict


def fnet_model(transformers: Any, config: BackboneConfig, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return transformers' FNetModel with these weights, in evaluation mode."""
    import torch

    model = transformers.FNetModel(
        transformers.FNetConfig(
            vocab_size=config.vocabulary_size,
            hidden_size=config.hidden_dim,
            num_hidden_layers=config.num_layers,
            intermediate_size=config.intermediate_dim,
            max_position_embeddings=config.max_sequence_length,
            type_vocab_size=config.num_segments,
            hidden_act="gelu_new",
            layer_norm_eps=1e-12,
            use_tpu_fourier_optimizations=False,
        )
    )
    state = {
        name: torch.from_numpy(np.ascontiguousarray(tensor))
        for name, tensor in to_state_dict(config, tensors).items()
    }
    missing, unexpected = model.load_state_dict(state, strict=False)
    # Position ids and the like are buffers that transformers fills by itself.
    assert not unexpected
    assert not [name for name in missing if name.endswith((".weight", ".bias"))]
    return model.eval()


def run_fnet_model(model: Any, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the outputs under Keras' names."""
    import torch

    with torch.no_grad():
        made = model(
            input_ids=torch.from_numpy(inputs["token_ids"]),
            token_type_ids=torch.from_numpy(inputs["segment_ids"]),
        )
    return {
        "sequence_output": made.last_hidden_state.numpy(),
        "pooled_output": made.pooler_output.numpy(),
    }
