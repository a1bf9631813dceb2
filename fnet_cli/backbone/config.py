"""The numbers that define an FNet, without Keras."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from fnet_cli import constants

_BOUNDS = {
    "vocabulary_size": constants.MAX_VOCABULARY_SIZE,
    "num_layers": constants.MAX_LAYERS,
    "hidden_dim": constants.MAX_HIDDEN_DIM,
    "intermediate_dim": constants.MAX_INTERMEDIATE_DIM,
    "max_sequence_length": constants.MAX_SEQUENCE_LENGTH,
    "num_segments": constants.MAX_SEGMENTS,
}


@dataclass(frozen=True)
class BackboneConfig:
    """Sizes of an FNet backbone, named as in KerasHub's `FNetBackbone`.

    Raises ValueError where a size is not a positive int within the bounds of
    `fnet_cli.constants`, or `dropout` is not a finite number in [0, 1).
    """

    vocabulary_size: int
    num_layers: int
    hidden_dim: int
    intermediate_dim: int
    dropout: float = 0.1
    max_sequence_length: int = 512
    num_segments: int = 4

    def __post_init__(self) -> None:
        for name, bound in _BOUNDS.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(f"{name} must be an integer, not {value!r:.80}")
            if not 1 <= value <= bound:
                raise ValueError(f"{name} must be between 1 and {bound:,}, not {value:,}")
        rate = self.dropout
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise ValueError(f"dropout must be a number, not {rate!r:.80}")
        if not math.isfinite(rate) or not 0 <= rate < 1:
            raise ValueError(f"dropout must be in [0, 1), not {rate}")

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as KerasHub's `get_config` orders and names them."""
        return asdict(self)
