"""The student: this project's backbone, mean-pooled and normalised, and what it is to learn."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from fnet_cli import FNetBackbone
from fnet_cli.backbone.config import BackboneConfig
from training.batches import TokenTexts

TEMPERATURE = 0.05
POSITION_SPREAD = 0.02
LONG_PIECE = 8.0


def teacher_projection(vectors: np.ndarray, hidden_dim: int) -> np.ndarray:
    """Return the (384, hidden_dim) projection that keeps the teacher's dot products best.

    The top right singular vectors, not centred: a cosine is a dot product about the origin.
    """
    gram = vectors.T @ vectors
    _, directions = np.linalg.eigh(gram)
    # A direction's sign is the solver's whim; fixing it makes runs comparable.
    top = directions[:, ::-1][:, :hidden_dim]
    signed: np.ndarray = top * np.sign(top[np.abs(top).argmax(0), np.arange(hidden_dim)])
    return signed.astype(np.float32)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Scale rows to length 1."""
    scaled: np.ndarray = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return scaled


def build_backbone(config: BackboneConfig) -> FNetBackbone:
    """Return the backbone without dropout: a student this small underfits."""
    return FNetBackbone(
        vocabulary_size=config.vocabulary_size,
        num_layers=config.num_layers,
        hidden_dim=config.hidden_dim,
        intermediate_dim=config.intermediate_dim,
        dropout=0.0,
        max_sequence_length=config.max_sequence_length,
        num_segments=config.num_segments,
        dtype="float32",
    )


def even_directions(hidden_dim: int) -> np.ndarray:
    """Return an orthogonal (H, H) matrix whose first H/2 - 1 rows pass through mixing unharmed.

    The real part of a Fourier transform over positions and hidden dimensions keeps of a mean over
    positions only what is even in the hidden index: x[h] = x[-h]. Of the even directions, a
    constant and its transform, an impulse at 0, are what layer normalisation takes away; they are
    the last two rows here, after the odd ones.
    """
    units = np.eye(hidden_dim)
    mirrored = units[-np.arange(hidden_dim) % hidden_dim]
    pairs = slice(1, hidden_dim // 2)
    lost = np.stack([np.ones(hidden_dim), units[0]])
    # QR keeps the span of the leading columns: what is lost, then the rest of the even ones.
    columns = np.concatenate([lost, (units + mirrored)[pairs], (units - mirrored)[pairs]]).T
    basis = np.linalg.qr(columns)[0].T
    return np.roll(basis, -len(lost), axis=0).astype(np.float32)


def piece_vectors(
    texts: TokenTexts, targets: np.ndarray, pieces: np.ndarray, shrinkage: float = 1.0
) -> np.ndarray:
    """Return the vectors (V, D) whose sum over a text's tokens is closest to its target.

    Ridge regression of (N, D) targets on counts of pieces over the root of the length, shrunk
    towards the teacher's own vectors of the `pieces` (V, D), which is all that rare ones get.
    """
    from scipy import linalg, sparse

    rows = np.repeat(np.arange(len(texts.lengths)), texts.lengths)
    weights = np.repeat(texts.lengths.astype(np.float32) ** -0.5, texts.lengths)
    bags = sparse.csr_matrix((weights, (rows, texts.ids)), (len(texts.lengths), len(pieces)))
    guess = bags @ pieces
    scale = np.vdot(guess, targets) / np.vdot(guess, guess)
    gram = (bags.T @ bags).toarray() + shrinkage * np.eye(len(pieces), dtype=np.float32)
    right = bags.T @ (targets - scale * guess)
    factor = linalg.cho_factor(gram, lower=True, overwrite_a=True, check_finite=False)
    found: np.ndarray = scale * pieces + linalg.cho_solve(factor, right, check_finite=False)
    return found


def start_from_vectors(
    backbone: FNetBackbone, vectors: np.ndarray, generator: np.random.Generator
) -> None:
    """Set the weights so that the untrained student is close to a sum of these piece vectors.

    `vectors` (V, H) are even. The segment's vector is odd, so that mixing drops it; it is as long
    as a long piece's, so that the normalisation after the sum leaves short ones short: a piece's
    length is its weight. That length is large beside a step of the optimizer. Positions start
    small, and feed-forward networks do anyway.
    """
    hidden = vectors.shape[1]
    odd = generator.normal(size=hidden)
    odd -= odd[-np.arange(hidden) % hidden]
    odd *= LONG_PIECE / np.linalg.norm(odd)
    long = np.quantile(np.linalg.norm(vectors, axis=1), 0.95)
    backbone.token_embedding.set_weights([vectors * (LONG_PIECE / long)])
    for layer in backbone.layers:
        weights = layer.get_weights()
        if layer.name == "position_embedding":
            layer.set_weights([generator.normal(0.0, POSITION_SPREAD, weights[0].shape)])
        if layer.name == "segment_embedding":
            layer.set_weights([np.tile(odd, (len(weights[0]), 1))])
        if layer.name == "embedding_projection":
            layer.set_weights([np.eye(hidden), np.zeros(hidden)])


def sentence_model(backbone: FNetBackbone, pad_id: int) -> keras.Model:
    """Return token ids (B, S) -> unit sentence vectors (B, H), as encode computes them.

    The mean is over the tokens that are not padding.
    """
    token_ids = keras.Input((None,), dtype="int32", name="token_ids")
    states = backbone({"token_ids": token_ids, "segment_ids": ops.zeros_like(token_ids)})
    real = ops.cast(ops.not_equal(token_ids, pad_id), "float32")[..., None]
    mean = ops.sum(states["sequence_output"] * real, axis=1) / ops.sum(real, axis=1)
    return keras.Model(token_ids, ops.normalize(mean, axis=-1, order=2), name="sentence_model")


class SimilarityLoss(keras.losses.Loss):
    """How far the student's vectors and their similarities are from the teacher's.

    Of a batch: the cosine distance to the teacher's reduced vectors; the Kullback-Leibler
    divergence between the softmax over each text's neighbours under both; and the mean squared
    difference of all similarities.
    """

    def __init__(self, neighbours: float, similarities: float) -> None:
        super().__init__(name="similarity", reduction=None)
        self.neighbours = neighbours
        self.similarities = similarities

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss of a batch, a scalar, of unit vectors (B, H)."""
        cosine = ops.mean(ops.sum(y_true * y_pred, axis=-1))
        wanted = ops.matmul(y_true, ops.transpose(y_true))
        found = ops.matmul(y_pred, ops.transpose(y_pred))
        squares = ops.mean(ops.square(wanted - found))
        itself = ops.eye(ops.shape(y_true)[0]) * 1e4  # every text is its own nearest neighbour
        wanted_log = ops.log_softmax(wanted / TEMPERATURE - itself)
        found_log = ops.log_softmax(found / TEMPERATURE - itself)
        divergence = ops.mean(ops.sum(ops.exp(wanted_log) * (wanted_log - found_log), axis=-1))
        return 1.0 - cosine + self.neighbours * divergence + self.similarities * squares
