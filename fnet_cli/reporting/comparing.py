"""All pairs of vectors compared by the cosine of their angle, a block of rows at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10
# Cosines are counted in steps of a thousandth: finer than any eye, and medians are as exact.
STEPS = 2_000
# Of float32 products of unit vectors: two that are equal have a cosine of 1 but for this.
ROUNDING = 1e-6
_BLOCK_ROWS = 512


@dataclass(frozen=True)
class Comparison:
    """What all pairs of N unit vectors are. `counts` (STEPS,) is a histogram from -1 to 1.

    `neighbours` (N, K) has the rows most alike, best first, and `scores` their cosines; equal ones
    come in order. `groups` (N,) numbers the sets of rows that are connected by pairs of at least
    the threshold, from 0 by size, and is -1 for rows that are in none. Without a pair, the numbers
    are None.
    """

    neighbours: np.ndarray
    scores: np.ndarray
    groups: np.ndarray
    counts: np.ndarray
    pairs: int
    smallest: float | None = None
    mean: float | None = None
    largest: float | None = None

    @property
    def median(self) -> float | None:
        """The middle of the step that the median of all cosines is in."""
        if not self.pairs:
            return None
        step = int(np.searchsorted(np.cumsum(self.counts), (self.pairs + 1) // 2))
        return (step + 0.5) * 2 / STEPS - 1


def compare(units: np.ndarray, threshold: float) -> Comparison:
    """Compare unit vectors (N, H) float32, each with each."""
    count = len(units)
    most = min(NEIGHBOURS, max(0, count - 1))
    neighbours = np.zeros((count, most), np.int64)
    scores = np.zeros((count, most), np.float32)
    counts = np.zeros(STEPS, np.int64)
    labels = np.arange(count)
    total, ends = 0.0, (np.inf, -np.inf)
    for start in range(0, count, _BLOCK_ROWS):
        stop = min(count, start + _BLOCK_ROWS)
        cosines = np.clip(units[start:stop] @ units.T, -1, 1)  # (B, N)
        later = cosines[np.triu(np.ones(cosines.shape, bool), start + 1)]
        counts += np.bincount(_steps(later), minlength=STEPS)
        total += float(later.sum(dtype=np.float64))
        if len(later):
            ends = min(ends[0], float(later.min())), max(ends[1], float(later.max()))
        labels = _connected(labels, cosines >= threshold - ROUNDING, start)
        cosines[np.arange(stop - start), np.arange(start, stop)] = -np.inf
        neighbours[start:stop], scores[start:stop] = _best(cosines, most)
    pairs = count * (count - 1) // 2
    if not pairs:
        return Comparison(neighbours, scores, _by_size(labels), counts, 0)
    return Comparison(
        neighbours, scores, _by_size(labels), counts, pairs, ends[0], total / pairs, ends[1]
    )


def _steps(cosines: np.ndarray) -> np.ndarray:
    steps = ((cosines + 1) * (STEPS / 2)).astype(np.int64)
    return np.minimum(steps, STEPS - 1, out=steps)


def _best(cosines: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of the largest numbers of each row, (B, most), and these."""
    if not most:
        return np.zeros((len(cosines), 0), np.int64), np.zeros((len(cosines), 0), np.float32)
    best = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
    best.sort(axis=1)
    found = np.take_along_axis(cosines, best, axis=1)
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1), np.take_along_axis(found, order, axis=1)


def _connected(labels: np.ndarray, alike: np.ndarray, start: int) -> np.ndarray:
    """Return the components with further edges: rows from `start` on that are alike to others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Where all are alike, nearly all pairs are known to be connected by others.
    alike &= labels[start : start + len(alike), None] != labels
    rows, columns = np.nonzero(alike)
    # What is known is edges, too: of each row to the first of its component.
    ones = np.concatenate([rows + start, np.arange(len(labels))])
    others = np.concatenate([columns, labels])
    edges = coo_array((np.ones(len(ones), bool), (ones, others)), shape=(len(labels),) * 2)
    _, components = connected_components(edges, directed=False)
    _, first = np.unique(components, return_index=True)
    connected: np.ndarray = first[components]
    return connected


def _by_size(labels: np.ndarray) -> np.ndarray:
    """Return numbers for components of several rows, by size and then by the first row."""
    groups = np.full(len(labels), -1)
    found, sizes = np.unique(labels, return_counts=True)
    several = sizes > 1
    order = np.argsort(-sizes[several], kind="stable")
    for number, label in enumerate(found[several][order]):
        groups[labels == label] = number
    return groups
