"""What makes a job the same job: a run that goes on must be of the one that was begun."""

from __future__ import annotations

from typing import Any

import orjson

from fnet_cli.constants import OUTPUT_METADATA_KEY
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.readers.expanding import InputFiles
from fnet_cli.encoding.readers.places import as_file


def job_identity(plan: JobPlan) -> dict[str, Any]:
    """Return all that decides the rows of a job on files, as JSON holds it.

    An input is known by its name, its size and the time of its last change, in nanoseconds. What
    the rows are computed on is left out: a job may be finished on another machine.
    """
    options = plan.options
    record = orjson.loads(plan.target.schema.metadata[OUTPUT_METADATA_KEY])
    return {
        "inputs": [_known_by(name, plan.files) for name in options.inputs],
        "input_format": options.input_format.value if options.input_format else None,
        "limit": options.limit,
        "columns": list(plan.passthrough),
        "id_columns": list(options.id_columns),
        **record,
        "format": plan.target.format.value,
        "compression": options.compression.value,
        "batch_size": options.batch_size,
    }


def _known_by(name: str, files: InputFiles) -> dict[str, Any]:
    found = as_file(files.place(name)).stamp()
    return {"name": name, "size": found.size, "modified": found.modified}
