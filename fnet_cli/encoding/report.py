"""What a job says of itself: progress while it runs, and the record that closes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Progress:
    """How far a job is.

    `seconds` counts from the first batch, as `tokens` does; `total_rows` may be unknown. Of `rows`,
    the first `rows_resumed` were there when the job went on.
    """

    rows: int
    tokens: int
    seconds: float
    total_rows: int | None
    rows_resumed: int = 0


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True)
class JobReport:
    """The closing record of a job.

    `rows_in` is counted by the readers and `rows_out` from the written file's own footer;
    `rows_in == rows_out + rows_rejected` holds, or the job failed. `tokens` counts the tokens
    that came out or were encoded, without padding, `tokens_lost` those that truncation cut.
    `documents` counts the texts that were read, of which a row may be a chunk; None where rows
    were ids. `seconds` is all of the job.
    """

    rows_in: int
    rows_out: int
    rows_rejected: int
    documents: int | None
    rows_truncated: int
    tokens: int
    tokens_lost: int
    seconds: float
    output: str
    preset: str
    settings: dict[str, Any]
    version: str

    @property
    def working_seconds(self) -> float:
        """The seconds that rates are of."""
        return max(self.seconds, 1e-9)

    @property
    def rows_per_second(self) -> float:
        """Rows written per second."""
        return self.rows_out / self.working_seconds

    @property
    def tokens_per_second(self) -> float:
        """Real tokens per second."""
        return self.tokens / self.working_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the record as `--json` prints it."""
        return {
            **asdict(self),
            "seconds": round(self.seconds, 3),
            "rows_per_second": round(self.rows_per_second, 1),
            "tokens_per_second": round(self.tokens_per_second, 1),
        }


@dataclass(frozen=True, kw_only=True)
class EncodeReport(JobReport):
    """The closing record of a job with a model.

    `startup_seconds` is the part of `seconds` before the first batch ran; rates leave it out.
    `files_damaged` counts inputs that could not be read to their end, `rejected` names the file of
    rejected rows, None where none was written. `rows_resumed` and `tokens_resumed` count what an
    earlier run of the same job had written: they are in `rows_out` and `tokens`, and not in the
    rates.
    """

    startup_seconds: float
    files_damaged: int
    rejected: str | None
    rows_resumed: int
    tokens_resumed: int
    weights_sha256: str
    backend: str
    device: str

    @property
    def working_seconds(self) -> float:
        """Seconds after start-up."""
        return max(self.seconds - self.startup_seconds, 1e-9)

    @property
    def rows_per_second(self) -> float:
        """Rows written per second."""
        return (self.rows_out - self.rows_resumed) / self.working_seconds

    @property
    def tokens_per_second(self) -> float:
        """Real tokens per second."""
        return (self.tokens - self.tokens_resumed) / self.working_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the record as `--json` prints it."""
        return {**super().to_dict(), "startup_seconds": round(self.startup_seconds, 3)}
