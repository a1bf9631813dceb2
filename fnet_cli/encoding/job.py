"""The encode job: planned, run over its rows or part by part, counted, and closed with a record."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fnet_cli.constants import __version__
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.identity import job_identity
from fnet_cli.encoding.model import Model, RanAs
from fnet_cli.encoding.needing import check_memory
from fnet_cli.encoding.options import EncodeOptions
from fnet_cli.encoding.output.opening import open_output
from fnet_cli.encoding.output.parts import PartRecord
from fnet_cli.encoding.parts_job import PartsJob
from fnet_cli.encoding.plan import JobPlan, make_plan
from fnet_cli.encoding.readers.opening import STANDARD_STREAM
from fnet_cli.encoding.report import EncodeReport
from fnet_cli.encoding.running import Run, Work
from fnet_cli.encoding.tally import JobTally
from fnet_cli.encoding.watching import watch_of, watched


def encode_files(options: EncodeOptions, context: JobContext | None = None) -> EncodeReport:
    """Encode the rows of `options.inputs` and write them to `options.output`.

    A file appears under its name only when it is complete, and what has been written before stays
    in `<output>.fnet`; a directory has its parts one by one, and `_SUCCESS` in the end. After any
    error the same job with `resume` goes on from there.
    Raises the errors of `fnet_cli.errors`; the message names file, row or line, and column.
    """
    context = context or JobContext()
    if context.memory is None:
        context = replace(context, memory=watch_of(options.memory_limit))
    with watched(context.memory):
        return _encode_files(options, context)


def _encode_files(options: EncodeOptions, context: JobContext) -> EncodeReport:
    started = context.clock()
    plan = make_plan(options, context.settings, context.stdin, context.on_pull)
    check_memory(plan)
    tally = JobTally(context, plan.rows)
    if plan.target.place is None:
        done = _in_one(plan, context, tally)
    else:
        job = PartsJob(plan, plan.target.place, context, tally)
        record, rejected = job.complete()
        done = Done(record, rejected, job.ran_as)
    return _report(plan, tally, done, (started, context.clock()))


@dataclass(frozen=True)
class Done:
    """What a job came to, where rejected rows were written, and how its engine worked."""

    record: PartRecord
    rejected: str | None
    ran_as: RanAs | None


def _in_one(plan: JobPlan, context: JobContext, tally: JobTally) -> Done:
    """Write one file, or a stream."""
    is_stream = STANDARD_STREAM in plan.options.inputs
    identity = None if is_stream else job_identity(plan)
    model = Model(context)
    with open_output(
        plan.target, identity, plan.options.restart, context.stdout, context.on_kept
    ) as output:
        record = Run(plan, Work(model, tally, context.is_stopping)).complete(output)
    return Done(record, output.rejected, model.ran_as)


def _report(plan: JobPlan, tally: JobTally, done: Done, times: tuple[float, float]) -> EncodeReport:
    """Return the closing record of a job that ran from one time to another."""
    record, ran_as = done.record, done.ran_as
    started, ended = times
    return EncodeReport(
        rows_in=record.rows_in,
        rows_out=record.rows_out,
        rows_rejected=record.rows_rejected,
        files_damaged=record.files_damaged,
        rejected=done.rejected,
        documents=record.documents,
        rows_truncated=record.rows_truncated,
        tokens=record.tokens,
        tokens_lost=record.tokens_lost,
        rows_resumed=tally.rows_resumed,
        tokens_resumed=tally.tokens_resumed,
        seconds=ended - started,
        startup_seconds=(ended if tally.ready_at is None else tally.ready_at) - started,
        output=plan.options.output,
        preset=plan.preset.handle,
        weights_sha256=plan.weights_sha256,
        backend=ran_as.backend if ran_as else "",
        device=ran_as.device if ran_as else "",
        settings={
            **plan.options.recorded(plan.in_force),
            "batch_size": plan.options.batch_size,
            "pad_id": plan.shape.pad_id,
            **plan.text_record,
            **(ran_as.recorded() if ran_as else {}),
        },
        version=__version__,
    )
