"""What a report is asked to be, and what it needs to be installed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path

from fnet_cli.constants import EMBEDDING_COLUMN
from fnet_cli.errors import UsageError

DEFAULT_SAMPLE = 5_000
# Every pair of rows is compared, and every row of the sample is in the page.
MOST_ROWS = 20_000
DEFAULT_THRESHOLD = 0.98
_MOST_SEED = 2**32 - 1  # of scikit-learn's generators


class Projection(StrEnum):
    """How vectors become points of a plane. The page of `tsne` has both."""

    TSNE = "tsne"
    PCA = "pca"


@dataclass(frozen=True)
class ReportOptions:
    """What to look at and how. `output` is None where only the numbers are wanted."""

    source: str
    output: str | None
    column: str = EMBEDDING_COLUMN
    text_column: str | None = None
    sample: int = DEFAULT_SAMPLE
    seed: int = 0
    threshold: float = DEFAULT_THRESHOLD
    projection: Projection = Projection.TSNE
    picture: bool = False
    overwrite: bool = False


def check_options(options: ReportOptions) -> None:
    """Raise UsageError for what cannot be asked for, and for a package that is not installed."""
    if not 1 <= options.sample <= MOST_ROWS:
        raise UsageError(
            f"--sample must be 1 to {MOST_ROWS:,}, not {options.sample}",
            hint="fnet verify-output reads every row",
        )
    if not 0 <= options.seed <= _MOST_SEED:
        raise UsageError(f"--seed must be 0 to {_MOST_SEED}, not {options.seed}")
    if not 0 < options.threshold <= 1:
        raise UsageError(f"--duplicates must be more than 0 and at most 1: {options.threshold:g}")
    _check_output(options)
    needed = ["sklearn"]
    if options.output is not None:
        needed.append("matplotlib" if options.picture else "plotly")
    for name in needed:
        if find_spec(name) is None:
            package = "scikit-learn" if name == "sklearn" else name
            raise UsageError(
                f"a report needs {package}, which is not installed",
                hint="pip install 'fnet-cli[report]'",
            )


def _check_output(options: ReportOptions) -> None:
    """Raise UsageError where the name of the output says something else than its content."""
    if options.output is None:
        if options.picture:
            raise UsageError("--png has no file to write", hint="add -o report.png")
        return
    suffix = Path(options.output).suffix.lower()
    if options.picture and suffix != ".png":
        raise UsageError(f"{options.output}: a picture ends in .png", hint="leave --png out")
    if not options.picture and suffix not in (".html", ".htm"):
        hint = "--png makes a picture" if suffix == ".png" else "such as -o report.html"
        raise UsageError(f"{options.output}: a page ends in .html", hint=hint)
