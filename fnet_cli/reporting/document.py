"""A report in numbers: the document of `--json`, and what the page is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fnet_cli.constants import __version__
from fnet_cli.reporting.analysis import Analysis, histogram
from fnet_cli.reporting.comparing import STEPS, Comparison
from fnet_cli.reporting.options import ReportOptions
from fnet_cli.reporting.sampling import NON_FINITE, NULL, OTHER_DIMENSION, Sample
from fnet_cli.reporting.showing import MOST_CHARACTERS, Value, cut

# Of all values that the page shows, in characters; plotly.js is the other half of it.
_MOST_SHOWN = 2_500_000
_LEAST_CHARACTERS = 20
# Rows of a kind that are named; the counts are of all.
_NAMED_ROWS = 20


def numbers(sample: Sample, analysis: Analysis, options: ReportOptions) -> dict[str, Any]:
    """Return what `--json` prints; docs/how-to/report.md says what each key means."""
    dimensions, lengths = analysis.dimensions, analysis.lengths
    groups = _groups(analysis)
    return {
        "file": options.source,
        "files": len(sample.names),
        "column": options.column,
        "text_column": sample.text_column,
        "rows": sample.total,
        "sample": {"rows": sample.rows, "seed": options.seed, "all": sample.rows == sample.total},
        "dimension": sample.vectors.shape[1] or None,
        "number_type": sample.number_type,
        "compared": len(analysis.mapped),
        "null_vectors": sample.count(NULL),
        "other_dimension_vectors": sample.count(OTHER_DIMENSION),
        "non_finite_vectors": sample.count(NON_FINITE),
        "zero_vectors": len(analysis.zero_rows),
        "lengths": {
            **_ends(lengths),
            "median": float(np.median(lengths)) if len(lengths) else None,
            "histogram": _as_dict(histogram(lengths)),
        },
        "similarity": _similarity(analysis.comparison),
        "projections": [projection.value for projection in analysis.points],
        "explained_variance": list(analysis.explained),
        "effective_dimension": analysis.effective,
        "near_duplicates": {
            "threshold": options.threshold,
            "rows": sum(map(len, groups)),
            "groups": [[_place(sample, analysis.mapped[at]) for at in group] for group in groups],
        },
        "dimensions": {
            fault.replace("-", "_"): dimensions.of(fault)
            for fault in ("dead", "constant", "non-finite")
        },
        "notes": list(sample.notes),
        "metadata": sample.metadata,
        "version": __version__,
    }


def _similarity(comparison: Comparison) -> dict[str, Any]:
    return {
        "pairs": comparison.pairs,
        "smallest": comparison.smallest,
        "mean": comparison.mean,
        "median": comparison.median,
        "largest": comparison.largest,
        "histogram": _as_dict(_similarities(comparison.counts)),
    }


def _ends(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return {"smallest": None, "mean": None, "largest": None}
    shares = values / len(values)  # a sum could pass the largest number
    return {
        "smallest": float(values.min()),
        "mean": float(shares.sum()),
        "largest": float(values.max()),
    }


def _as_dict(found: tuple[list[float], list[int]]) -> dict[str, list[Any]]:
    return {"edges": found[0], "counts": found[1]}


def _similarities(counts: np.ndarray) -> tuple[list[float], list[int]]:
    """Return the edges and counts of wider steps, from the first that has a pair to the last."""
    there = np.flatnonzero(counts)
    if not len(there):
        return [], []
    width = 5
    while (there[-1] - there[0]) / width > 80 and width < 40:
        width *= 2
    low, high = there[0] // width, there[-1] // width + 1
    wide = counts.reshape(-1, width).sum(axis=1)
    edges = (np.arange(low, high + 1) * width - STEPS // 2) / (STEPS // 2)
    return edges.tolist(), wide[low:high].tolist()


def _groups(analysis: Analysis) -> list[list[int]]:
    """Return the rows of each group, by their place among those that are compared."""
    found: list[list[int]] = []
    numbered = analysis.comparison.groups
    for at in np.flatnonzero(numbered >= 0).tolist():
        while len(found) <= numbered[at]:
            found.append([])
        found[numbered[at]].append(at)
    return found


def _place(sample: Sample, row: int) -> dict[str, Any]:
    return {"file": sample.names[sample.files[row]], "row": int(sample.numbers[row])}


# --- The page ------------------------------------------------------------------------------------


def page_data(sample: Sample, analysis: Analysis, document: dict[str, Any]) -> dict[str, Any]:
    """Return what the script of a page is given: the numbers, and the rows of the sample.

    Rows are those that are compared, in their order; neighbours are their places among them.
    """
    mapped = analysis.mapped
    columns, characters = _fitting(
        {name: [values[row] for row in mapped.tolist()] for name, values in sample.columns.items()}
    )
    comparison, dimensions = analysis.comparison, analysis.dimensions
    return {
        "numbers": document,
        "unit": sample.unit,
        "files": list(sample.names) if len(sample.names) > 1 else [],
        "file": sample.files[mapped].tolist(),
        "row": sample.numbers[mapped].tolist(),
        "columns": columns,
        "characters": characters,
        "leftOut": list(sample.left_out),
        "length": _rounded(analysis.lengths, 5),
        "group": comparison.groups.tolist(),
        "points": {
            projection.value: {
                "x": _rounded(places[:, 0], 5),
                "y": _rounded(places[:, 1], 5),
            }
            for projection, places in analysis.points.items()
        },
        "neighbours": comparison.neighbours.tolist(),
        "scores": [[round(score, 4) for score in row] for row in comparison.scores.tolist()],
        "dimensions": {
            "means": _rounded(dimensions.means, 5),
            "deviations": _rounded(dimensions.deviations, 5),
            "faults": list(dimensions.faults),
        },
        "unusable": _unusable(sample, analysis),
    }


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [float(f"{value:.{digits}g}") for value in values.tolist()]


def _fitting(columns: dict[str, list[Value]]) -> tuple[dict[str, list[Value]], int]:
    """Return the columns with texts cut until they all fit into a page, and to how many characters.

    The number is that of the longest that were left whole.
    """
    most = MOST_CHARACTERS
    while most > _LEAST_CHARACTERS and _size(columns, most) > _MOST_SHOWN:
        most //= 2
    return {
        name: [cut(value, most) if isinstance(value, str) else value for value in values]
        for name, values in columns.items()
    }, most


def _size(columns: dict[str, list[Value]], most: int) -> int:
    """Return the bytes that values take in a page; what is not ASCII takes up to four."""
    return sum(
        len(value[:most].encode("utf-8", "surrogatepass")) if isinstance(value, str) else 8
        for values in columns.values()
        for value in values
    )


def _unusable(sample: Sample, analysis: Analysis) -> list[dict[str, Any]]:
    """Return the rows that are on no map, by the reason, the first of them by their names."""
    kinds: list[tuple[str, Sequence[int]]] = [
        (name, np.flatnonzero(sample.states == state).tolist())
        for name, state in (
            ("non_finite", NON_FINITE),
            ("null", NULL),
            ("other_dimension", OTHER_DIMENSION),
        )
    ]
    kinds.append(("zero", analysis.zero_rows.tolist()))
    return [
        {
            "kind": name,
            "count": len(rows),
            "rows": [_place(sample, row) for row in rows[:_NAMED_ROWS]],
        }
        for name, rows in kinds
        if rows
    ]
