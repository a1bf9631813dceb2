"""`fnet encode --dry-run`: what a job would do, and about how long it would take."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from fnet_cli.cli.encode import quiet_load_engine
from fnet_cli.cli.tables import number, size
from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.estimating import Estimate, estimate
from fnet_cli.encoding.needing import check_memory
from fnet_cli.encoding.options import EncodeOptions
from fnet_cli.encoding.output.target import free_bytes
from fnet_cli.encoding.plan import JobPlan, make_plan
from fnet_cli.errors import UsageError
from fnet_cli.units import show_seconds


def dry_run(options: EncodeOptions, settings: Settings, *, as_json: bool) -> None:
    """Check the job, time a small sample, and print both; writes no file."""
    if "-" in options.inputs:
        raise UsageError("--dry-run would use up the rows on standard input", hint="give it a file")
    context = JobContext(settings=settings, engine_loader=quiet_load_engine)
    plan = make_plan(options, context.settings, context.stdin)
    check_memory(plan)
    record = _record(plan, estimate(plan, context))
    if as_json:
        sys.stdout.write(json.dumps(record) + "\n")
        return
    width = max(map(len, record))
    for key, value in _shown(record).items():
        sys.stdout.write(f"{key:<{width}}  {value}\n")


def _record(plan: JobPlan, sample: Estimate | None) -> dict[str, Any]:
    path = plan.target.path
    return {
        "inputs": [source.name for source in plan.sources],
        "rows": plan.rows,
        "output": plan.options.output,
        "output_schema": {field.name: str(field.type) for field in plan.target.schema},
        "expected_bytes": plan.expected_bytes,
        "free_bytes": None if path is None else free_bytes(path),
        "preset": plan.preset.handle,
        "weights_sha256": plan.weights_sha256,
        **plan.options.recorded(plan.in_force),
        "settings_from": {name: origin.value for name, origin in plan.in_force.origins.items()},
        "batch_size": plan.options.batch_size,
        "startup_seconds": None if sample is None else round(sample.startup_seconds, 2),
        "rows_per_second": None if sample is None else round(sample.rows_per_second, 1),
        "estimated_seconds": (
            None
            if sample is None or sample.encode_seconds is None
            else round(sample.startup_seconds + sample.encode_seconds, 1)
        ),
    }


def _shown(record: dict[str, Any]) -> dict[str, str]:
    """Return the record as people read it."""
    special: dict[str, Callable[[Any], str]] = {
        "inputs": lambda names: (
            f"{names[0]} and {len(names) - 1} more" if len(names) > 1 else names[0]
        ),
        "rows": number,
        "output_schema": _pairs,
        "settings_from": _pairs,
        "expected_bytes": size,
        "free_bytes": size,
        "estimated_seconds": lambda seconds: "-" if seconds is None else show_seconds(seconds),
    }
    return {
        key: special.get(key, lambda value: "-" if value is None else str(value))(value)
        for key, value in record.items()
    }


def _pairs(values: dict[str, str]) -> str:
    return "; ".join(f"{name}: {value}" for name, value in values.items())
