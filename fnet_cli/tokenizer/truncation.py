"""How a pair of texts is cut to a length. Imports nothing, for the program's options."""

from __future__ import annotations

from enum import StrEnum


class PairTruncate(StrEnum):
    """Which text of a pair gives way where both are longer than a model takes, as in KerasHub.

    ROUND_ROBIN takes a token of each in turn, the first text's first, so that the longer one is
    cut; WATERFALL takes all of the first text that fits, and of the second what still does.
    """

    ROUND_ROBIN = "round_robin"
    WATERFALL = "waterfall"
