"""Fourier mixing, the part of FNet that stands where attention would.

Re(FFT2(x)) of a real x, three ways, exact but for rounding. They differ in what they cost:

fft     the complex transform, as the paper writes it; half its work is on imaginary parts that
        are zero, and half its result repeats the other half.
rfft    the real transform, a half of the columns; the other half is its mirror image.
matmul  cosine and sine matrices, on what is left of x when it is folded along both axes: a
        quarter of the rows and columns. Two to three times the operations of rfft, but in
        matrix products, which hardware with matrix units does at another rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import keras
from keras import ops

from fnet_cli.backbone.fusing import fused, running_device
from fnet_cli.processor import read_processor

Tensor = Any


class Mixing(StrEnum):
    """How the Fourier transform is computed."""

    AUTO = "auto"
    FFT = "fft"
    RFFT = "rfft"
    MATMUL = "matmul"


def fourier_mixing(inputs: Tensor, method: Mixing | str | None = None) -> Tensor:
    """Return the real part of the 2-D discrete Fourier transform over sequence and hidden axes.

    Unnormalised: published checkpoints were trained so, and a scale would break them. `inputs`
    is (B, S, H); the result has its shape, in float64 for float64 inputs and float32 otherwise.
    No padding mask exists: every position, padding too, mixes into every other. Without a
    `method` that of the `mixing_scope` around it is used, and `auto` outside any.

    Source: Lee-Thorp et al. 2021, arXiv 2105.03824, section 3.2, equation 3.
    """
    parts, assemble = transformed(inputs, method)
    return assemble(inputs, parts)[1]


def transformed(
    inputs: Tensor, method: Mixing | str | None = None
) -> tuple[Any, Callable[[Tensor, Any], tuple[Tensor, Tensor]]]:
    """Return the transform's own result, and a function that makes the mixing of it.

    The function, elementwise work that can be fused into what comes next, is called with
    `inputs` and that result and returns `inputs` and the mixing, (B, S, H) both.
    """
    chosen = _METHODS[_resolve(inputs, method)]
    return chosen.transform(inputs), chosen.assemble


def first_position(inputs: Tensor) -> Tensor:
    """Return `fourier_mixing(inputs)[:, 0]`, (B, H), at the cost of one position.

    At frequency zero along the sequence the transform is a sum, so that one transform over the
    hidden axis remains.
    """
    total = ops.sum(_wide(inputs), axis=1, keepdims=True)  # (B, 1, H)
    return fourier_mixing(total, Mixing.RFFT)[:, 0]


# --- Which method ---------------------------------------------------------------------------

_scope: ContextVar[Mixing] = ContextVar("mixing", default=Mixing.AUTO)


@contextmanager
def mixing_scope(method: Mixing | str) -> Iterator[None]:
    """Choose the method for models that are run, or traced, inside the scope."""
    token = _scope.set(Mixing(method))
    try:
        yield
    finally:
        _scope.reset(token)


def choose_mixing(dtype: str, *, matrix_units: bool) -> Mixing:
    """Return the method for inputs of `dtype`.

    `matrix_units` says whether the device multiplies bfloat16 matrices at a rate of its own: the
    tensor cores of a GPU, a CPU with AMX. There the products of `matmul` should cost less than the
    passes over memory of a Fourier transform in float32. Everywhere else rfft: on a CPU without
    AMX no method was faster by more than noise, on any backend and at any length from 16 to 512
    (docs/performance.md, `benchmarks/mixing.py`).
    """
    return Mixing.MATMUL if dtype == "bfloat16" and matrix_units else Mixing.RFFT


def has_matrix_units(device: str) -> bool:
    """Whether `device`, "cpu" or "gpu:N", multiplies bfloat16 matrices at a rate of its own."""
    return not device.startswith("cpu") or "amx_bf16" in _cpu_features()


@cache
def _cpu_features() -> frozenset[str]:
    return read_processor().features or frozenset()


def _resolve(inputs: Tensor, method: Mixing | str | None) -> Mixing:
    chosen = Mixing(_scope.get() if method is None else method)
    if chosen is not Mixing.AUTO:
        return chosen
    dtype = keras.backend.standardize_dtype(inputs.dtype)
    return choose_mixing(
        dtype, matrix_units=dtype == "bfloat16" and has_matrix_units(running_device())
    )


# --- The methods ----------------------------------------------------------------------------


@dataclass(frozen=True)
class _Method:
    """A transform, and what makes the mixing of its result.

    `assemble(inputs, parts)` returns `inputs` and the mixing.
    """

    transform: Callable[[Tensor], Any]
    assemble: Callable[[Tensor, Any], tuple[Tensor, Tensor]]


def _wide(x: Tensor) -> Tensor:
    # Half precision has neither an FFT kernel nor the range: S * H unnormalised terms pass
    # float16's 65504. The caller normalises before it narrows the result.
    wide = keras.backend.standardize_dtype(x.dtype) in ("float32", "float64")
    return x if wide else ops.cast(x, "float32")


def _fft(x: Tensor) -> Tensor:
    x = _wide(x)
    return ops.fft2((x, ops.zeros_like(x)))[0]


def _fft_assemble(inputs: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    return inputs, parts


def _rfft(x: Tensor) -> Tensor:
    """Return the transform's first H // 2 + 1 columns, complex: (B, S, H // 2 + 1)."""
    x = _wide(x)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        # tf.signal.rfft2d is the same in 27 operations of an open graph, a copy of x among them.
        kind = tf.complex128 if x.dtype == tf.float64 else tf.complex64
        parts = tf.raw_ops.RFFT2D(input=x, fft_length=tf.shape(x)[1:], Tcomplex=kind)
        parts.set_shape((*x.shape[:2], x.shape[2] // 2 + 1))  # which an open graph forgets
        return parts
    if backend == "jax":
        import jax.numpy as jnp

        return jnp.fft.rfft2(x)
    import torch

    return torch.fft.rfft2(x)


def _rfft_assemble(inputs: Tensor, parts: Tensor) -> tuple[Tensor, Tensor]:
    return inputs, _with_mirror_image(ops.real(parts), inputs.shape[-1])


def _with_mirror_image(half: Tensor, hidden_dim: int) -> Tensor:
    """Return (B, S, H) from its first H // 2 + 1 columns: Y[s, h] = Y[-s, -h] for real inputs.

    A sum of padded pieces: unlike a concatenation XLA makes one kernel of it and of what follows.
    """
    columns = hidden_dim // 2 + 1
    image = _negated(ops.flip(half[:, :, 1 : (hidden_dim + 1) // 2], axis=2), 1)
    left = ops.pad(half, ((0, 0), (0, 0), (0, hidden_dim - columns)))
    return left + ops.pad(image, ((0, 0), (0, 0), (columns, 0)))


def _negated(x: Tensor, axis: int) -> Tensor:
    """Return x at the negated indices of `axis`, modulo its length."""
    first, rest = (x[:, :1], x[:, 1:]) if axis == 1 else (x[:, :, :1], x[:, :, 1:])
    return ops.concatenate([first, ops.flip(rest, axis=axis)], axis=axis)


def _matmul(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cosine and the sine terms, (B, S // 2 + 1, H // 2 + 1) each.

    cos(a + b) = cos a cos b - sin a sin b. Cosines are even and sines odd in both axes, so x may
    be folded first, and of the result a quarter tells the rest.
    """
    kind = keras.backend.standardize_dtype(x.dtype)
    # float16 would overflow in the products (see _wide).
    kind = "float32" if kind == "float16" else kind
    terms = []
    for part, wave in zip(fused(_folded, x, kind), (ops.cos, ops.sin), strict=True):
        # Hidden first: one product of two matrices for all rows of the batch.
        rows, columns = (_waves(n, wave, kind) for n in (ops.shape(x)[1], x.shape[2]))
        shape = ops.shape(part)
        # (With @: ops.matmul narrows float64 on torch.)
        flat = ops.reshape(part, (-1, shape[2])) @ ops.transpose(columns)
        terms.append(rows @ ops.reshape(flat, shape))
    return terms[0], terms[1]


def _folded(x: Tensor, kind: str) -> tuple[Tensor, Tensor]:
    """Return the part of x that is even in both axes, and the part that is odd in both."""
    even = odd = _wide(x)
    for axis in (1, 2):
        even, odd = _half(even + _negated(even, axis), axis), _half(odd - _negated(odd, axis), axis)
    return ops.cast(even, kind), ops.cast(odd, kind)


def _half(x: Tensor, axis: int) -> Tensor:
    """Return indices 0 to n // 2 of an axis of length n."""
    count = ops.shape(x)[axis] // 2 + 1
    return x[:, :count] if axis == 1 else x[:, :, :count]


def _waves(count: Any, wave: Callable[[Tensor], Tensor], kind: str) -> Tensor:
    """Return wave(2 pi k n / count) for k and n up to count // 2, to be applied to folded inputs.

    A fold counts the indices 0 and count / 2, which are their own images, twice: hence the halves.
    """
    wide = "float64" if kind == "float64" else "float32"
    index = ops.arange(count // 2 + 1, dtype="int32")
    # Reduced as integers: an angle of many turns would lose digits.
    turns = ops.cast((index[:, None] * index[None, :]) % count, wide) / ops.cast(count, wide)
    own_image = (index == 0) | (2 * index == count)
    weight = ops.where(own_image, 0.5, 1.0)
    return ops.cast(wave(2 * math.pi * turns) * ops.cast(weight, wide)[None, :], kind)


def _matmul_assemble(inputs: Tensor, parts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    cosines, sines = (_wide(part) for part in parts)
    # Rows 0 to S // 2, then the rows after them, which are the others' negated indices.
    count = ops.shape(inputs)[1]
    rest = ops.flip((cosines + sines)[:, 1 : (count + 1) // 2], axis=1)
    half = ops.concatenate([cosines - sines, rest], axis=1)
    return inputs, _with_mirror_image(half, inputs.shape[-1])


_METHODS = {
    Mixing.FFT: _Method(_fft, _fft_assemble),
    Mixing.RFFT: _Method(_rfft, _rfft_assemble),
    Mixing.MATMUL: _Method(_matmul, _matmul_assemble),
}
