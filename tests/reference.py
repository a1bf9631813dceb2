"""FNet in plain float64 NumPy: the independent definition that the model is held against."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from fnet_cli.backbone.config import BackboneConfig

EPSILON = 1e-12


def layer_norm(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def gelu(x: np.ndarray) -> np.ndarray:
    """The tanh form, Hendrycks and Gimpel 2016, section 2."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def fnet_forward(
    tensors: Mapping[str, np.ndarray],
    config: BackboneConfig,
    token_ids: np.ndarray,
    segment_ids: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Return (sequence_output, pooled_output) for ids of (B, S)."""
    weights = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        return layer_norm(x, weights[f"{name}/gamma"], weights[f"{name}/beta"])

    x = weights["token_embedding/embeddings"][token_ids]
    x = x + weights["position_embedding/embeddings"][: token_ids.shape[1]]
    x = x + weights["segment_embedding/embeddings"][segment_ids]
    x = dense(norm(x, "embeddings_layer_norm"), "embedding_projection")
    for index in range(config.num_layers):
        layer = f"f_net_layer_{index}"
        x = norm(x + np.fft.fft2(x).real, f"{layer}/mixing_layer_norm")
        inner = gelu(dense(x, f"{layer}/intermediate_dense"))
        x = norm(x + dense(inner, f"{layer}/output_dense"), f"{layer}/output_layer_norm")
    return x, np.tanh(dense(x[:, 0], "pooled_dense"))
