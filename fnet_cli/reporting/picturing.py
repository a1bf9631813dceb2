"""A still picture of a report: the map, the two histograms and the dimensions, as PNG."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np

from fnet_cli.reporting.analysis import Analysis
from fnet_cli.reporting.options import Projection

_INK, _FAINT, _POINT, _FAULT = "#1d2733", "#6b7785", "#2563eb", "#c2410c"
_MOST_DRAWN = 1e100  # larger numbers overflow in the arithmetic of axes
_NAMES = {Projection.TSNE: "t-SNE", Projection.PCA: "PCA"}


def draw_picture(document: dict[str, Any], analysis: Analysis, caption: str) -> bytes:
    """Return a picture as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 7.5), facecolor="white", layout="constrained")
    rows = [["map", name] for name in ("lengths", "similarity", "dimensions")]
    axes: dict[str, Any] = figure.subplot_mosaic(rows, width_ratios=[1.5, 1])
    _map(axes["map"], analysis)
    _bars(axes["lengths"], document["lengths"]["histogram"], "Length of vectors")
    _bars(axes["similarity"], document["similarity"]["histogram"], "Cosine of pairs")
    _dimensions(axes["dimensions"], analysis)
    figure.suptitle(
        f"{_printable(document['file'])}\n{caption}", color=_INK, fontsize=12, parse_math=False
    )
    made = io.BytesIO()
    with warnings.catch_warnings():
        # A name may have characters that the font lacks; boxes stand for them.
        warnings.simplefilter("ignore", UserWarning)
        figure.savefig(made, format="png", dpi=130, metadata={"Software": None})
    return made.getvalue()


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in text[-100:])


def _plain(axes: Any, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=_INK)
    axes.tick_params(labelsize=8, colors=_FAINT)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#cfd6de")


def _map(axes: Any, analysis: Analysis) -> None:
    projection, points = next(iter(analysis.points.items()))
    _plain(axes, f"Map of the vectors ({_NAMES[projection]})")
    duplicate = analysis.comparison.groups >= 0
    for chosen, color, label in (
        (~duplicate, _POINT, "rows"),
        (duplicate, _FAULT, "rows in a group of near-duplicates"),
    ):
        if chosen.any():
            axes.scatter(*points[chosen].T, s=9, color=color, alpha=0.55, linewidths=0, label=label)
    axes.set(xticks=[], yticks=[])
    if duplicate.any():
        axes.legend(loc="lower left", fontsize=8, frameon=False)


def _bars(axes: Any, histogram: dict[str, list[float]], title: str) -> None:
    _plain(axes, title)
    if histogram["counts"]:
        edges = np.minimum(histogram["edges"], _MOST_DRAWN)
        axes.stairs(histogram["counts"], edges, fill=True, color=_POINT, alpha=0.8)


def _dimensions(axes: Any, analysis: Analysis) -> None:
    found = analysis.dimensions
    _plain(axes, "Standard deviation of each dimension")
    places = np.arange(len(found.deviations))
    heights = np.minimum(found.deviations, _MOST_DRAWN)
    axes.bar(places, heights, width=1, color=_POINT, alpha=0.8)
    faulty = np.array([bool(fault) for fault in found.faults], bool)
    if faulty.any():
        axes.plot(places[faulty], np.zeros(faulty.sum()), "x", color=_FAULT, markersize=5)
