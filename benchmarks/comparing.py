"""From rounds to the lines of a table: rates by the median round, ratios, accuracy."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import inputs
import numpy as np
from racing import Job, Results, Round, best_variant, median_seconds

_REFERENCE_ROWS = 2


@dataclass(frozen=True)
class Comparison:
    """What the rounds gave, and what they ran on.

    `operations` are those of the dense products of all rows, `reference` (N, H) the true pooled
    outputs of the first N, or None where contenders pad differently.
    """

    results: Results
    rows: list[np.ndarray]
    operations: int
    reference: np.ndarray | None

    @cached_property
    def medians(self) -> dict[str, float]:
        """The median seconds of each contender, run as what is fastest."""
        return {name: median_seconds(self._rounds(name)) for name in self.results}

    def rates(self, name: str) -> dict[str, Any]:
        """Return what a contender gets done in a second."""
        seconds = self.medians[name]
        return {
            "contender": name,
            "best_as": best_variant(self.results[name]),
            "rows_per_second": round(len(self.rows) / seconds, 2),
            "tokens_per_second": round(sum(map(len, self.rows)) / seconds),
            "gflop_per_second": round(self.operations / seconds / 1e9),
        }

    def variant_seconds(self, name: str) -> dict[str, float]:
        """Return the median seconds of everything that a contender was run as."""
        return {
            variant: round(median_seconds(rounds), 4)
            for variant, rounds in self.results[name].items()
        }

    def times_slower(self, name: str, other: str) -> float | str:
        """Return the time of `name` over that of `other`, or nothing where one did not run."""
        if name not in self.medians or other not in self.medians:
            return ""
        return round(self.medians[name] / self.medians[other], 3)

    def spread(self, name: str) -> float:
        """Return the slowest round over the fastest."""
        times = [one.seconds for one in self._rounds(name)]
        return round(max(times) / min(times), 2)

    def max_difference(self, name: str, other: str) -> float | str:
        """Return the largest difference of the two's pooled outputs."""
        ours, theirs = (
            self._rounds(each)[0].pooled if each in self.results else np.empty(0)
            for each in (name, other)
        )
        if self.reference is None or ours.shape != theirs.shape:
            return ""
        return float(f"{np.abs(ours - theirs).max():.2g}")

    def min_cosine(self, name: str) -> float | str:
        """Return the smallest cosine of a pooled output to the true one."""
        pooled = self._rounds(name)[0].pooled
        if self.reference is None or not len(pooled):
            return ""
        part = pooled[: len(self.reference)].astype(np.float64)
        norms = np.linalg.norm(part, axis=1) * np.linalg.norm(self.reference, axis=1)
        return round(float(((part * self.reference).sum(axis=1) / norms).min()), 7)

    def _rounds(self, name: str) -> list[Round]:
        variants = self.results[name]
        return variants[best_variant(variants)]


def true_outputs(job: Job) -> np.ndarray | None:
    """Return the pooled outputs of the first rows in float64 NumPy, or None for short rows.

    Those are padded differently by each contender, which in FNet changes the result.
    """
    if job.short:
        return None
    from reference import fnet_forward

    preset = inputs.preset_at(job.preset)
    ids = np.stack(inputs.read_rows(job.tokens)[:_REFERENCE_ROWS])
    with preset.open_weights() as source:
        return fnet_forward(dict(source.tensors()), preset.config, ids, np.zeros_like(ids))[1]


def numbers(text: str) -> tuple[int, ...]:
    """Parse an option of numbers with commas between them."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not numbers with commas between") from None
