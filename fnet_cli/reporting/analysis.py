"""What the vectors of a sample are: lengths, likeness, dimensions, and a map of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fnet_cli.encoding.measuring import lengths_of
from fnet_cli.reporting.comparing import Comparison, compare
from fnet_cli.reporting.options import Projection
from fnet_cli.reporting.sampling import FINE, NON_FINITE, Sample

# What t-SNE works on: the directions of most variance, as its authors advise.
_TSNE_DIMENSIONS = 50
_TSNE_PERPLEXITY = 30
# From a start that is in order already, most has happened after half the usual number.
_TSNE_STEPS = 500
# So many rows have a neighbourhood.
_TSNE_LEAST_ROWS = 10
_TSNE_THREADED_ROWS = 2_000
# A dimension is constant where its values differ by no more than this share of the largest.
_CONSTANT_SHARE = 1e-6


@dataclass(frozen=True)
class Dimensions:
    """What each dimension (H,) is over the rows. `faults` has "" for one that is as it should be.

    A dimension is `non-finite` where a vector has a NaN or infinite number there, `dead` where it
    is zero in all rows and `constant` where all have the same number; one row alone says nothing.
    Means and deviations are of finite vectors.
    """

    means: np.ndarray
    deviations: np.ndarray
    faults: tuple[str, ...]

    def of(self, fault: str) -> list[int]:
        """Return the dimensions with a fault."""
        return [index for index, found in enumerate(self.faults) if found == fault]


@dataclass(frozen=True)
class Analysis:
    """What was found. `mapped` (M,) has the rows of the sample whose vector has a direction.

    `lengths` (M,) are of these, `comparison` compares them, and `points` has their places on each
    map, (M, 2). `explained` is the share of the variance that each axis of the PCA has.
    `effective` is how many dimensions of equal variance would spread the vectors alike, from 1 on.
    """

    mapped: np.ndarray
    lengths: np.ndarray
    zero_rows: np.ndarray
    comparison: Comparison
    dimensions: Dimensions
    points: dict[Projection, np.ndarray]
    explained: tuple[float, float]
    effective: float | None


def analyse(
    sample: Sample,
    threshold: float,
    projection: Projection,
    seed: int,
    tell: Callable[[str], None],
) -> Analysis:
    """Measure a sample; `tell` is told what takes its time."""
    finite = np.flatnonzero(sample.states == FINE)
    vectors = sample.vectors[finite]
    lengths = lengths_of(vectors)
    directed = lengths > 0
    units = _units(vectors[directed])
    tell(f"comparing {len(units):,} rows with each other")
    comparison = compare(units, threshold)
    places, explained, effective = _principal(units, seed)
    points = {Projection.PCA: places[:, :2]}
    if projection is Projection.TSNE and len(units) >= _TSNE_LEAST_ROWS and effective:
        tell(f"mapping {len(units):,} rows with t-SNE")
        points = {Projection.TSNE: _tsne(places, seed), **points}
    return Analysis(
        mapped=finite[directed],
        lengths=lengths[directed],
        zero_rows=finite[~directed],
        comparison=comparison,
        dimensions=_dimensions(sample),
        points=points,
        explained=explained,
        effective=effective,
    )


def _units(vectors: np.ndarray) -> np.ndarray:
    """Return vectors of length 1, float32, whatever their numbers; none is of zeros."""
    wide = vectors.astype(np.float64)
    wide /= np.abs(wide).max(axis=1, keepdims=True, initial=0)  # squares of the largest fit
    units: np.ndarray = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return units


def _principal(
    units: np.ndarray, seed: int
) -> tuple[np.ndarray, tuple[float, float], float | None]:
    """Return places on the axes of most variance (M, 2 or more), their shares, and `effective`."""
    from sklearn.decomposition import PCA

    count, dimension = units.shape
    nowhere = np.zeros((count, 2)), (0.0, 0.0), None
    if count < 2:
        return nowhere
    centred = units - units.mean(axis=0, dtype=np.float64)
    # What rounding alone makes is no variance.
    if np.abs(centred).max() < 1e-6:
        return nowhere
    covariance = centred.T @ centred
    effective = float(np.trace(covariance) ** 2 / (covariance**2).sum())
    most = min(_TSNE_DIMENSIONS, count, dimension)
    model = PCA(most, random_state=seed)
    places = model.fit_transform(centred)
    shares = [*model.explained_variance_ratio_.tolist(), 0.0]
    if most == 1:
        places = np.column_stack([places, np.zeros(count)])
    return places, (shares[0], shares[1]), effective


def _tsne(places: np.ndarray, seed: int) -> np.ndarray:
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = places[:, :2] / (places[:, 0].std() or 1) * 1e-4
    model = TSNE(
        max_iter=_TSNE_STEPS,
        perplexity=min(_TSNE_PERPLEXITY, (len(places) - 1) / 3),
        init=start.astype(np.float32),
        random_state=seed,
    )
    # Few rows are done sooner by one thread than threads find each other, on a busy machine most.
    with threadpool_limits(1 if len(places) < _TSNE_THREADED_ROWS else None):
        found: np.ndarray = model.fit_transform(places.astype(np.float32))
    return found


def _dimensions(sample: Sample) -> Dimensions:
    there = sample.vectors[(sample.states == FINE) | (sample.states == NON_FINITE)]
    vectors = sample.vectors[sample.states == FINE].astype(np.float64)
    broken = ~np.isfinite(there).all(axis=0)
    if not len(vectors):
        zeros = np.zeros(sample.vectors.shape[1])
        return Dimensions(zeros, zeros, tuple("non-finite" if one else "" for one in broken))
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    largest = np.maximum(np.abs(low), np.abs(high))
    several = len(vectors) > 1
    with np.errstate(over="ignore"):  # of numbers near the largest there are
        constant = (high / 2 - low / 2 <= largest / 2 * _CONSTANT_SHARE) & several
        means, deviations = vectors.mean(axis=0), vectors.std(axis=0)
    faults = np.select(
        [broken, constant & (largest == 0), constant], ["non-finite", "dead", "constant"], ""
    )
    return Dimensions(means, deviations, tuple(faults.tolist()))


def histogram(values: np.ndarray, most: int = 60) -> tuple[list[float], list[int]]:
    """Return the edges and counts of equal bins over all finite values, none without a value.

    Values that differ by rounding alone are one bin.
    """
    if not len(values):
        return [], []
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-5 * max(abs(low), abs(high)):
        around = 0.05 * (abs(low) or 1)
        counts, edges = np.histogram(values, 21, (low - around, low + around))
    else:
        counts, edges = np.histogram(values, most, (low, high))
    return edges.tolist(), counts.tolist()
