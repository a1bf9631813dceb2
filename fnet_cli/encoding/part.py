"""One part of a job, and what all who work on the parts share.

Whoever encodes a fragment does the same, `encode_part`: this process, or one of many. A part that
is done is not touched again, and one that is not goes on from what has grown, so work that is
repeated loses and doubles nothing.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from fnet_cli.encoding.fragments import Fragment, part_of
from fnet_cli.encoding.options import OnError
from fnet_cli.encoding.output.parts import PartRecord, PartsDirectory
from fnet_cli.encoding.plan import JobPlan
from fnet_cli.encoding.running import Run, Work


@dataclass(frozen=True)
class PartsPlan:
    """What all who work on a job in parts share; it can be sent to another process.

    `identity` is a digest of what the job is. With the name of an `attempt`, a part is begun anew,
    where no other attempt is in the way; without, what has grown of it is gone on with.
    """

    plan: JobPlan
    fragments: tuple[Fragment, ...]
    directory: PartsDirectory
    identity: str
    attempt: str = ""

    def __reduce__(self) -> tuple[Callable[[bytes], PartsPlan], tuple[bytes]]:
        stream = io.BytesIO()
        values = (self.plan, self.fragments, self.directory, self.identity, self.attempt)
        _SchemaPickler(stream, pickle.HIGHEST_PROTOCOL).dump(values)
        return _unpickled, (stream.getvalue(),)


class _SchemaPickler(pickle.Pickler):
    """Sends schemas as Arrow writes them: pickled, a list forgets that its elements are no null."""

    def reducer_override(self, value: object) -> Any:
        """Say how a schema is sent; everything else is as usual."""
        if isinstance(value, pa.Schema):
            return pa.ipc.read_schema, (value.serialize(),)
        return NotImplemented


def _unpickled(data: bytes) -> PartsPlan:
    return PartsPlan(*pickle.loads(data))  # noqa: S301 - of this job's own process


def encode_part(job: PartsPlan, fragment: Fragment, work: Work) -> PartRecord:
    """Encode a fragment into its part, going on from what is left of it; note that it is done."""
    part = part_of(job.plan, fragment)
    # What fails to be written there is said by this name.
    work_path = job.directory.work_of(fragment.number, job.attempt)
    target = replace(part.target, path=work_path, place=None)
    identity = {"job": job.identity, "part": fragment.number}
    run = Run(part, work)
    keeps = part.options.on_error is OnError.QUARANTINE
    with job.directory.part(fragment.number, target, identity, keeps_rejected=keeps) as output:
        record = run.complete(output)
    return job.directory.note(fragment.number, record)
