"""What can be asked of an encode job: the choices, and one frozen value that holds them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fnet_cli.backbone.config import BackboneConfig
from fnet_cli.constants import SEGMENT_COLUMN, TEXT_COLUMN, TOKEN_COLUMN
from fnet_cli.errors import UsageError
from fnet_cli.presets.encode_settings import EncodeSettings, Padding, Pooling
from fnet_cli.tokenizer.truncation import PairTruncate

__all__ = [
    "Compression",
    "ComputeDtype",
    "EncodeOptions",
    "Executor",
    "InputFormat",
    "MaxErrors",
    "OnError",
    "OnNull",
    "OutputDtype",
    "OutputFormat",
    "Padding",
    "PairTruncate",
    "Pooling",
    "RayOptions",
    "Restart",
    "SettingOrigin",
    "SettingsInForce",
    "TextOptions",
    "Truncate",
    "settings_in_force",
]


class Truncate(StrEnum):
    """What becomes of a row longer than the sequence length."""

    RIGHT = "right"
    ERROR = "error"


class OnNull(StrEnum):
    """What becomes of a row whose text is null."""

    ERROR = "error"
    EMPTY = "empty"  # as an empty text
    SKIP = "skip"  # left out, and counted as rejected


class OnError(StrEnum):
    """What becomes of rows and files that cannot be used."""

    FAIL = "fail"
    SKIP = "skip"  # left out, and counted as rejected
    QUARANTINE = "quarantine"  # left out, and written to a file of their own


class InputFormat(StrEnum):
    """File formats that are read."""

    PARQUET = "parquet"
    ARROW = "arrow"  # IPC files and streams, Feather
    JSONL = "jsonl"
    TEXT = "text"  # a row a line
    CSV = "csv"
    TSV = "tsv"


class OutputFormat(StrEnum):
    """File formats that are written."""

    PARQUET = "parquet"
    JSONL = "jsonl"


class OutputDtype(StrEnum):
    """Number formats of the embedding column."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


class Restart(StrEnum):
    """What becomes of an unfinished job with the same output."""

    NEVER = "never"  # it is in the way
    RESUME = "resume"
    OVERWRITE = "overwrite"


class Executor(StrEnum):
    """Who makes the parts of an output."""

    LOCAL = "local"  # processes of this machine
    RAY = "ray"  # actors of a Ray cluster


@dataclass(frozen=True)
class RayOptions:
    """Which Ray cluster works on a job, and what of it a worker takes.

    An empty `address` is that of RAY_ADDRESS, or a cluster started for the job. `cpus` of None
    is an equal share of this machine's cores where a cluster is started, else one.
    """

    address: str = ""
    cpus: float | None = None
    gpus: float = 0.0


class ComputeDtype(StrEnum):
    """Dtype policy of the model; `auto` is float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    MIXED_BFLOAT16 = "mixed_bfloat16"
    MIXED_FLOAT16 = "mixed_float16"

    @property
    def policy(self) -> str:
        """The Keras dtype policy's name."""
        return "float32" if self is ComputeDtype.AUTO else self.value

    @property
    def computes_in(self) -> str:
        """The dtype of products and activations: a mixed policy keeps its weights in another."""
        return self.policy.removeprefix("mixed_")


class Compression(StrEnum):
    """Parquet codecs."""

    ZSTD = "zstd"
    SNAPPY = "snappy"
    GZIP = "gzip"
    LZ4 = "lz4"
    BROTLI = "brotli"
    NONE = "none"


@dataclass(frozen=True)
class TextOptions:
    """How the texts of a job become token ids.

    A `pair_column` is each row's second text; `pair_truncate` says which of the two gives way.
    With `chunk`, a text is a document: it becomes a row for every `chunk` tokens, special ones not
    counted, of which the next row repeats the last `overlap`. Raises UsageError for a chunk or an
    overlap that cannot be, and for chunks of pairs.
    """

    column: str = TEXT_COLUMN
    pair_column: str | None = None
    pair_truncate: PairTruncate = PairTruncate.ROUND_ROBIN
    on_null: OnNull = OnNull.ERROR
    chunk: int | None = None
    overlap: int = 0

    def __post_init__(self) -> None:
        if self.chunk is None:
            if self.overlap:
                raise UsageError("--overlap is of chunks", hint="say how long with --chunk")
            return
        if self.chunk < 1:
            raise UsageError(f"--chunk must be at least 1, not {self.chunk}")
        if not 0 <= self.overlap < self.chunk:
            raise UsageError(
                f"--overlap {self.overlap} is not in 0..{self.chunk - 1}, which a chunk of "
                f"{self.chunk} tokens allows"
            )
        if self.pair_column is not None:
            raise UsageError("--chunk does not go with --pair-column: a chunk is of one text")

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of text, one or two."""
        return (self.column,) if self.pair_column is None else (self.column, self.pair_column)

    @property
    def makes_rows(self) -> bool:
        """Whether a text may become several rows, or none."""
        return self.chunk is not None or self.on_null is OnNull.SKIP

    def recorded(self) -> dict[str, Any]:
        """Return what decides the token ids, for the output's metadata."""
        return {
            "text_columns": list(self.columns),
            "pair_truncate": self.pair_truncate.value if self.pair_column else None,
            "on_null": self.on_null.value,
            "chunk": self.chunk,
            "overlap": self.overlap if self.chunk else None,
        }


@dataclass(frozen=True)
class MaxErrors:
    """The most errors that a job takes: so many, or so many of a hundred rows."""

    count: int | None = None
    percent: float | None = None

    @classmethod
    def parse(cls, text: str) -> MaxErrors:
        """Read `N` or `P%`; raises UsageError for anything else."""
        if re.fullmatch(r"[0-9]{1,18}", text):
            return cls(count=int(text))
        if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,9})?%", text) and float(text[:-1]) <= 100:
            return cls(percent=float(text[:-1]))
        raise UsageError(
            f"--max-errors {text!r} is neither a number nor a share",
            hint="give a number of errors, such as 100, or a share of the rows, such as 0.5%",
        )

    def __str__(self) -> str:
        return f"{self.count:,}" if self.percent is None else f"{self.percent:g}% of the rows"

    def is_passed(self, errors: int, rows: int | None) -> bool:
        """Whether there are more; of `rows`, where the limit is a share of them."""
        if self.count is not None:
            return errors > self.count
        return rows is not None and errors > rows * (self.percent or 0) / 100


@dataclass(frozen=True)
class EncodeOptions:
    """One encode job, or one that only tokenizes.

    `inputs` are paths of files, or `-` for standard input, which is JSONL by default; `output` is
    a path, or `-` for JSONL on standard output. With `text`, which plain text implies, the rows
    are texts, and the id columns are those that they are given. None means: what the preset
    recommends (`pooling`, `normalize`, `padding`, `sequence_length`), else pooled, not normalised,
    max and the model's maximum; from the suffix (`format`, `input_format`), the tokenizer's
    `<pad>` (`pad_id`), all rows (`limit`), `segment_ids` if there is one (`segment_column`), every
    column but the token and segment columns (`columns`), and what suits model and device
    (`batch_size`).
    An empty `preset` is the default preset. With `resume`, an unfinished job with this output is
    gone on with, and a job that there is none of begins. `max_errors` ends a job that tolerates
    errors. An `output` that ends with a slash, or is a directory, is written in parts, of up to
    `part_rows` rows (None: what suits the job) and by `workers` processes, or actors of a cluster
    where the `executor` is Ray. `memory_limit` is what all processes of the job may have in
    memory together, in bytes. `pinned` are the names of those that a file of settings has chosen.
    """

    inputs: tuple[str, ...]
    output: str
    preset: str = ""
    text: TextOptions | None = None
    token_column: str = TOKEN_COLUMN
    segment_column: str | None = None
    columns: tuple[str, ...] | None = None
    format: OutputFormat | None = None
    input_format: InputFormat | None = None
    compression: Compression = Compression.ZSTD
    pooling: Pooling | None = None
    normalize: bool | None = None
    output_dtype: OutputDtype = OutputDtype.FLOAT32
    padding: Padding | None = None
    sequence_length: int | None = None
    truncate: Truncate = Truncate.RIGHT
    pad_id: int | None = None
    dtype: ComputeDtype = ComputeDtype.AUTO
    batch_size: int | None = None
    device: str = "auto"
    limit: int | None = None
    overwrite: bool = False
    resume: bool = False
    on_error: OnError = OnError.FAIL
    max_errors: MaxErrors | None = None
    part_rows: int | None = None
    workers: int = 1
    executor: Executor = Executor.LOCAL
    ray: RayOptions = RayOptions()
    pinned: tuple[str, ...] = ()
    memory_limit: int | None = None

    @property
    def restart(self) -> Restart:
        """What becomes of an unfinished job; `check_options` refuses both flags together."""
        if self.resume:
            return Restart.RESUME
        return Restart.OVERWRITE if self.overwrite else Restart.NEVER

    @property
    def is_shared_out(self) -> bool:
        """Whether other processes than this one load the model."""
        return self.workers > 1 or self.executor is not Executor.LOCAL

    @property
    def tolerates(self) -> bool:
        """Whether the job goes on after rows and files that cannot be used."""
        return self.on_error is not OnError.FAIL

    @property
    def id_columns(self) -> tuple[str, str]:
        """The names of the token and of the segment column."""
        return self.token_column, self.segment_column or SEGMENT_COLUMN

    def recorded(self, in_force: SettingsInForce) -> dict[str, Any]:
        """Return the settings that decide an embedding, for the output's metadata."""
        return {
            "pooling": in_force.pooling.value,
            "normalize": in_force.normalize,
            "padding": in_force.padding.value,
            "truncate": self.truncate.value,
            "dtype": self.dtype.policy,
            "output_dtype": self.output_dtype.value,
            "sequence_length": in_force.sequence_length,
        }


class SettingOrigin(StrEnum):
    """Who chose a setting; the first that says something does."""

    FLAG = "flag"  # the job's options
    FILE = "file"  # one of settings, which pins an option
    PRESET = "preset"  # its recommendation
    DEFAULT = "default"


@dataclass(frozen=True)
class SettingsInForce:
    """How a job embeds, once its preset is known. `origins` says by name who chose each."""

    pooling: Pooling
    normalize: bool
    padding: Padding
    sequence_length: int
    origins: Mapping[str, SettingOrigin]


def settings_in_force(
    options: EncodeOptions, recommended: EncodeSettings, config: BackboneConfig
) -> SettingsInForce:
    """Return what holds for a job: the options, else the preset's recommendation, else defaults.

    A sequence length of the options is not held against the model's maximum here.
    """
    defaults = {
        "pooling": Pooling.POOLED,
        "normalize": False,
        "padding": Padding.MAX,
        "sequence_length": config.max_sequence_length,
    }
    chosen: dict[str, Any] = {}
    origins: dict[str, SettingOrigin] = {}
    for name, default in defaults.items():
        offers = (
            (
                SettingOrigin.FILE if name in options.pinned else SettingOrigin.FLAG,
                getattr(options, name),
            ),
            (SettingOrigin.PRESET, getattr(recommended, name)),
            (SettingOrigin.DEFAULT, default),
        )
        origins[name], chosen[name] = next(offer for offer in offers if offer[1] is not None)
    return SettingsInForce(**chosen, origins=origins)
