"""Cosines, neighbours and groups, against plain loops over float64."""

from __future__ import annotations

import numpy as np
import pytest

from fnet_cli.reporting import comparing
from fnet_cli.reporting.comparing import NEIGHBOURS, compare


def clusters(count: int, spread: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((7, 12))
    vectors = centres[random.integers(0, 7, count)] + spread * random.standard_normal((count, 12))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def reached(alike: np.ndarray, row: int) -> set[int]:
    """Return the rows that edges lead to from one."""
    found, waiting = {row}, [row]
    while waiting:
        further = set(np.flatnonzero(alike[waiting.pop()]).tolist()) - found
        found |= further
        waiting += further
    return found


@pytest.mark.parametrize("block", [512, 16])
def test_cosines_neighbours_and_groups_are_those_of_plain_float64(monkeypatch, block):
    monkeypatch.setattr(comparing, "_BLOCK_ROWS", block)
    units = clusters(70, 0.3)
    cosines = units.astype(np.float64) @ units.T.astype(np.float64)
    made = compare(units, 0.95)
    pairs = cosines[np.triu_indices(70, 1)]
    assert made.pairs == len(pairs) == made.counts.sum()
    assert (made.smallest, made.mean, made.largest) == pytest.approx(
        (pairs.min(), pairs.mean(), pairs.max()), abs=1e-6
    )
    assert made.median == pytest.approx(np.median(pairs), abs=2e-3)
    np.fill_diagonal(cosines, -2)
    for row in range(70):
        best = np.argsort(-cosines[row])[:NEIGHBOURS]
        assert made.neighbours[row].tolist() == best.tolist()
        assert made.scores[row] == pytest.approx(cosines[row][best], abs=1e-6)
        expected = reached(cosines >= 0.95, row)
        number = made.groups[row]
        assert (number < 0) == (len(expected) == 1)
        if number >= 0:
            assert set(np.flatnonzero(made.groups == number)) == expected
    sizes = np.bincount(made.groups[made.groups >= 0])
    assert sizes.tolist() == sorted(sizes, reverse=True)


def test_equal_vectors_are_one_group_also_at_a_threshold_of_1():
    units = np.repeat(clusters(1, 0), 1200, axis=0)
    made = compare(units, 1.0)
    assert made.groups.tolist() == [0] * 1200
    assert made.neighbours[0].tolist() != [0] * NEIGHBOURS
    assert not (made.neighbours == np.arange(1200)[:, None]).any()
    assert made.largest == pytest.approx(1)


@pytest.mark.parametrize("count", [0, 1])
def test_without_a_pair_there_is_nothing_to_say(count):
    made = compare(clusters(count, 0.3), 0.98)
    assert (made.pairs, made.mean, made.median) == (0, None, None)
    assert made.neighbours.shape == (count, 0)
    assert made.groups.tolist() == [-1] * count
