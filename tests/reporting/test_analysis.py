"""What a sample measures, against numpy's float64; and vectors of which little can be said."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from outputs import report, write

from fnet_cli.reporting.options import Projection


def test_lengths_variances_and_histograms_are_those_of_plain_float64(tmp_path):
    vectors = np.random.default_rng(1).standard_normal((90, 6)) * [5, 3, 1, 1, 1, 1] + 0.5
    found = report(write(tmp_path / "x.parquet", vectors, number=pa.float64())).numbers
    lengths = np.sqrt((vectors**2).sum(axis=1))
    told = found["lengths"]
    assert told["mean"] == pytest.approx(lengths.mean())
    assert told["median"] == pytest.approx(np.median(lengths))
    assert (told["smallest"], told["largest"]) == pytest.approx((lengths.min(), lengths.max()))
    units = vectors / lengths[:, None]
    variances = np.linalg.eigvalsh(np.cov(units.T))[::-1]
    assert found["explained_variance"] == pytest.approx(variances[:2] / variances.sum(), abs=1e-5)
    effective = variances.sum() ** 2 / (variances**2).sum()
    assert found["effective_dimension"] == pytest.approx(effective, rel=1e-4)
    cosines = (units @ units.T)[np.triu_indices(90, 1)]
    edges, counts = found["similarity"]["histogram"].values()
    # A cosine at an edge may fall on either side of it by rounding.
    assert np.histogram(cosines, edges)[0] == pytest.approx(np.array(counts), abs=1)
    assert sum(counts) == found["similarity"]["pairs"] == len(cosines)
    assert sum(told["histogram"]["counts"]) == 90


def test_dimensions_that_say_nothing_are_named(tmp_path):
    vectors = np.random.default_rng(2).standard_normal((20, 6)).astype(np.float32)
    vectors[:, 1], vectors[:, 4] = 0, 0.25
    vectors[7, 3] = np.nan
    vectors[9, 5] = np.inf
    found = report(write(tmp_path / "x.parquet", vectors)).numbers
    assert found["dimensions"] == {"dead": [1], "constant": [4], "non_finite": [3, 5]}
    assert (found["non_finite_vectors"], found["compared"]) == (2, 18)


def test_a_vector_that_cannot_be_compared_is_counted_and_left_out(tmp_path):
    rows = [[1, 0], None, [0, 0], [1, 2, 3], [1, None], [np.nan, 0], [0, 2], []]
    found = report(write(tmp_path / "x.parquet", rows)).numbers
    counts = {name: found[name] for name in found if name.endswith("_vectors")}
    assert counts == {
        "null_vectors": 2,
        "other_dimension_vectors": 2,
        "non_finite_vectors": 1,
        "zero_vectors": 1,
    }
    assert (found["rows"], found["compared"], found["dimension"]) == (8, 2, 2)
    assert found["lengths"]["largest"] == 2


@pytest.mark.parametrize("count", [0, 1, 2, 40])
@pytest.mark.parametrize("picture", [False, True])
def test_equal_vectors_of_any_number_make_a_report(tmp_path, count, picture):
    source = write(tmp_path / "x.parquet", np.full((count, 5), 0.3, np.float32))
    output = tmp_path / ("x.png" if picture else "x.html")
    made = report(source, output, projection=Projection.TSNE, picture=picture)
    assert made.bytes == output.stat().st_size > 1000
    assert output.read_bytes().startswith(b"\x89PNG" if picture else b"<!doctype html>")
    assert made.numbers["projections"] == ["pca"]
    assert made.numbers["effective_dimension"] is None
    groups = made.numbers["near_duplicates"]["groups"]
    assert [len(group) for group in groups] == ([count] if count > 1 else [])
    constant = list(range(5)) if count > 1 else []
    assert made.numbers["dimensions"]["constant"] == constant


def test_numbers_as_large_as_there_are_do_not_overflow(tmp_path):
    rows = np.array([[1e308, 1e308], [1e308, -1e308], [1e-300, 1e-300]])
    source = write(tmp_path / "x.parquet", rows, number=pa.float64())
    found = report(source, tmp_path / "x.png", picture=True).numbers
    assert found["similarity"]["smallest"] == pytest.approx(0, abs=1e-6)
    assert found["similarity"]["largest"] == pytest.approx(1)
    assert np.isfinite(found["lengths"]["mean"])


def test_the_map_keeps_clusters_together_and_is_the_same_again(tmp_path):
    random = np.random.default_rng(3)
    kinds = np.arange(60) % 3
    vectors = np.eye(3, 8)[kinds] + 0.05 * random.standard_normal((60, 8))
    from fnet_cli.encoding.verifying import find_files
    from fnet_cli.reporting.analysis import analyse
    from fnet_cli.reporting.options import ReportOptions
    from fnet_cli.reporting.sampling import draw

    source = write(tmp_path / "x.parquet", vectors.astype(np.float32))
    sample = draw(find_files(source), ReportOptions(source, None))
    told: list[str] = []
    made = [analyse(sample, 0.98, Projection.TSNE, 0, told.append).points for _ in range(2)]
    assert told[1] == "mapping 60 rows with t-SNE"
    for projection in (Projection.TSNE, Projection.PCA):
        points = made[0][projection]
        assert (points == made[1][projection]).all()
        centres = np.array([points[kinds == kind].mean(axis=0) for kind in range(3)])
        distances = np.linalg.norm(points[:, None] - centres, axis=2)
        assert (distances.argmin(axis=1) == kinds).all()
