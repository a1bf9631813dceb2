"""Fourier mixing, the part of FNet that stands where attention would."""

from __future__ import annotations

from typing import Any

from keras import ops


def fourier_mixing(inputs: Any) -> Any:
    """Return the real part of the 2-D discrete Fourier transform over sequence and hidden axes.

    Unnormalised: published checkpoints were trained so, and a scale would break them. `inputs`
    is (B, S, H); the result has its shape, in float64 for float64 inputs and float32 otherwise.
    No padding mask exists: every position, padding too, mixes into every other.

    Source: Lee-Thorp et al. 2021, arXiv 2105.03824, section 3.2, equation 3.
    """
    # Half precision has neither an FFT kernel nor the range: S * H unnormalised terms pass
    # float16's 65504. The caller normalises before it narrows the result.
    if inputs.dtype != "float64":
        inputs = ops.cast(inputs, "float32")
    real, _ = ops.fft2((inputs, ops.zeros_like(inputs)))
    return real
