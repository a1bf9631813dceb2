"""What is counted and measured of vectors is what plain NumPy says, however they come."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fnet_cli.encoding import measuring
from fnet_cli.encoding.measuring import VectorMeasures, vector_type

NUMBERS = st.sampled_from([0.0, 0.5, -2.0, 1.0, 6e4, 1e-6, np.nan, np.inf, -np.inf])
TYPES = {"float16": pa.float16(), "float32": pa.float32(), "float64": pa.float64()}


def measured(array: pa.Array, *cuts: int) -> VectorMeasures:
    """Measure rows that come in the batches between `cuts`, as slices of one array."""
    kind = vector_type(array.type)
    assert kind is not None
    measures = VectorMeasures(kind)
    ends = sorted({0, *(cut for cut in cuts if cut < len(array)), len(array)})
    for start, end in pairwise(ends):
        measures.add(array.slice(start, end - start), np.arange(start, end))
    return measures


def first(flags: np.ndarray, rows: np.ndarray) -> int | None:
    return int(rows[flags][0]) if flags.any() else None


def check(found: VectorMeasures, vectors: np.ndarray, rows: np.ndarray) -> None:
    """Compare with float64 NumPy; `rows` has the row of each vector."""
    wide = vectors.astype(np.float64)
    bad = ~np.isfinite(wide).all(axis=1)
    lengths = np.sqrt((np.where(bad[:, None], 1, wide) ** 2).sum(axis=1))
    zero = (wide == 0).all(axis=1)
    assert (found.non_finite.count, found.non_finite.first) == (bad.sum(), first(bad, rows))
    assert (found.zero.count, found.zero.first) == (zero.sum(), first(zero, rows))
    if bad.all():
        assert found.lengths() == (None, None, None)
        return
    good = lengths[~bad]
    assert found.lengths() == pytest.approx((good.min(), good.mean(), good.max()), rel=1e-12)
    off = ~bad & ~zero & (np.abs(lengths - 1) > 0.01)
    assert (found.other_length.count, found.other_length.first) == (off.sum(), first(off, rows))


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(np.float64, st.tuples(st.integers(1, 30), st.just(3)), elements=NUMBERS),
    st.sampled_from(sorted(TYPES)),
    st.booleans(),
    st.lists(st.integers(1, 29), max_size=4),
    st.data(),
)
def test_rows_with_nulls_among_them_are_as_numpy_has_them(vectors, dtype, fixed, cuts, data):
    vectors = vectors.astype(dtype)
    null = data.draw(hnp.arrays(bool, len(vectors)))
    kind = pa.list_(TYPES[dtype], 3) if fixed else pa.list_(TYPES[dtype])
    rows = [None if gone else list(row) for row, gone in zip(vectors, null, strict=True)]
    found = measured(pa.array(rows, kind), *cuts)
    numbers = np.arange(len(rows))
    assert (found.null.count, found.null.first) == (null.sum(), first(null, numbers))
    assert found.vectors == (~null).sum()
    check(found, vectors[~null], numbers[~null])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=12),
    st.lists(st.integers(1, 11), max_size=3),
    st.data(),
)
def test_a_vector_a_token_is_counted_for_its_row(sizes, cuts, data):
    shape = (sum(sizes), 2)
    vectors = data.draw(hnp.arrays(np.float32, shape, elements=NUMBERS.map(np.float32)))
    ends = np.cumsum(sizes)
    inner = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 2)
    array = pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), inner)
    found = measured(array, *cuts)
    assert found.vectors == len(vectors)
    if len(vectors):
        check(found, vectors, np.repeat(np.arange(len(sizes)), sizes))


def test_it_is_the_same_in_pieces(monkeypatch):
    vectors = np.random.default_rng(3).standard_normal((50, 4)).astype(np.float32)
    vectors[[7, 31], 2], vectors[12] = np.nan, 0
    array = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 4)
    monkeypatch.setattr(measuring, "_NUMBERS_AT_A_TIME", 12)
    check(measured(array), vectors, np.arange(50))


def test_lengths_of_doubles_neither_overflow_nor_vanish():
    rows = [[3e200, 4e200], [3e-200, 4e-200], [5e-324, 0], [0, 0], [1.7e308, 1.7e308]]
    found = measured(pa.array(rows, pa.list_(pa.float64(), 2)))
    assert (found.non_finite.count, found.zero.count, found.zero.first) == (0, 1, 3)
    assert found.lengths()[2] == np.finfo(np.float64).max
    assert measured(pa.array(rows[:1], pa.list_(pa.float64(), 2))).lengths()[0] == pytest.approx(
        5e200
    )
    assert measured(pa.array(rows[1:2], pa.list_(pa.float64(), 2))).lengths()[0] == pytest.approx(
        5e-200, abs=0
    )
    many = measured(pa.array([[1e308, 0]] * 8, pa.list_(pa.float64(), 2)))
    assert many.lengths()[1] == pytest.approx(1e308)


def test_the_first_null_is_the_first_whichever_kind_it_is_of():
    rows = [[1, 0], [1, None], None, [None, 0]]
    found = measured(pa.array(rows, pa.list_(pa.float32(), 2)))
    assert (found.null.count, found.null.first, found.vectors) == (3, 1, 3)


def test_vectors_of_another_dimension_are_counted_in_whichever_batch():
    rows = [[], [1.0, 0.0], [1.0], [1.0, 0.0], [1.0, 0.0, 0.0]]
    found = measured(pa.array(rows, pa.list_(pa.float32())), 1, 3)
    assert (found.dimension, found.other_dimension.count, found.other_dimension.first) == (2, 3, 0)
    assert found.lengths() == (1, 1, 1)


def test_rows_that_could_not_be_read_are_left_out():
    array = pa.array([None, [3, 4], [1, 0]], pa.list_(pa.float32(), 2))
    found = VectorMeasures(vector_type(array.type))
    found.add(array, np.array([5, 6, 7]), without=[0, 2])
    assert (found.null.count, found.vectors, found.lengths()) == (0, 1, (5, 5, 5))
