"""Draws the loss curve of a training log."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from training.preset import LOG
from training.texts import WORK

DOCS = Path(__file__).parent.parent / "docs/explanation"


def draw(log: Path, output: Path) -> None:
    """Write the loss over the steps of `log` as an SVG picture."""
    import matplotlib

    matplotlib.use("svg")
    # Names and dates that would make every drawing another file.
    matplotlib.rcParams["svg.hashsalt"] = log.name
    import matplotlib.pyplot as plt

    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    figure, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot([int(row["step"]) for row in rows], [float(row["loss"]) for row in rows])
    axes.set(xlabel="step", ylabel="loss, mean of 50 steps", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.savefig(output, metadata={"Date": None})


def main() -> None:
    """Parse the arguments and draw."""
    parser = argparse.ArgumentParser(prog="python -m training.plot")
    parser.description = "Draw the loss curve of a training log."
    parser.add_argument("--log", type=Path, default=WORK / LOG, metavar="CSV")
    parser.add_argument("--output", type=Path, default=DOCS / "training_loss.svg", metavar="SVG")
    arguments = parser.parse_args()
    draw(arguments.log, arguments.output)


if __name__ == "__main__":
    main()
