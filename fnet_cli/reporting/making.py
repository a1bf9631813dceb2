"""From an output to its report: find, draw, measure, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fnet_cli.config import Settings
from fnet_cli.encoding.output.target import output_errors, output_path
from fnet_cli.encoding.verifying import find_files
from fnet_cli.files import replacing
from fnet_cli.reporting.analysis import analyse
from fnet_cli.reporting.building import build_page
from fnet_cli.reporting.document import numbers, page_data
from fnet_cli.reporting.options import ReportOptions, check_options
from fnet_cli.reporting.picturing import draw_picture
from fnet_cli.reporting.sampling import draw


@dataclass(frozen=True)
class Report:
    """What was made: the numbers, and the bytes of the file, None where none was asked for."""

    numbers: dict[str, Any]
    bytes: int | None


def make_report(options: ReportOptions, settings: Settings, tell: Callable[[str], None]) -> Report:
    """Look at a sample of an output, and write a page or a picture of it in one step.

    Raises UsageError for options that cannot be followed, InputDataError for an output that cannot
    be read or has a vector a token, OutputError where the file is there or cannot be written, and
    NetworkError. `tell` is told what takes its time.
    """
    check_options(options)
    target: Path | None = None
    if options.output is not None:
        target = output_path(options.output, overwrite=options.overwrite)
    sample = draw(find_files(options.source, settings), options)
    analysis = analyse(sample, options.threshold, options.projection, options.seed, tell)
    document = numbers(sample, analysis, options)
    if target is None:
        return Report(document, None)
    if options.picture:
        made = draw_picture(document, analysis, summed_up(document))
    else:
        data = page_data(sample, analysis, document)
        made = build_page(data, f"{options.source}: embeddings")
    with output_errors(target), replacing(target) as temporary:
        temporary.write_bytes(made)
    return Report(document, len(made))


def summed_up(document: dict[str, Any]) -> str:
    """Return what the report is of, in a line."""
    rows, sample = document["rows"], document["sample"]
    if sample["all"]:
        return f"all {rows:,} rows"
    return f"{sample['rows']:,} of {rows:,} rows, drawn with seed {sample['seed']}"
