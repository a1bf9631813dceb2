"""What can be asked of an encode job: the choices, and one frozen value that holds them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fnet_cli.constants import TOKEN_COLUMN


class Pooling(StrEnum):
    """How a row's hidden states become its embedding."""

    POOLED = "pooled"  # the model's pooler: tanh(Dense(first position))
    CLS = "cls"  # the first position's hidden state
    MEAN = "mean"  # over real tokens
    MAX = "max"  # over real tokens
    TOKENS = "tokens"  # no pooling: one vector a real token


class Padding(StrEnum):
    """To what length a row is padded: a function of the row alone, never of its batch."""

    MAX = "max"  # to the sequence length
    BUCKET = "bucket"  # to the next of 8, 16, 24 ...
    NONE = "none"  # not at all


class Truncate(StrEnum):
    """What becomes of a row longer than the sequence length."""

    RIGHT = "right"
    ERROR = "error"


class FileFormat(StrEnum):
    """File formats that are read and written."""

    PARQUET = "parquet"
    JSONL = "jsonl"


class OutputDtype(StrEnum):
    """Number formats of the embedding column."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"


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


class Compression(StrEnum):
    """Parquet codecs."""

    ZSTD = "zstd"
    SNAPPY = "snappy"
    GZIP = "gzip"
    LZ4 = "lz4"
    BROTLI = "brotli"
    NONE = "none"


@dataclass(frozen=True)
class EncodeOptions:
    """One encode job.

    `inputs` are paths of Parquet or JSONL files, or `-` for JSONL on standard input; `output` is
    a path, or `-` for JSONL on standard output. None means: from the suffix (`format`,
    `input_format`), the model's maximum (`sequence_length`), the tokenizer's `<pad>` (`pad_id`),
    all rows (`limit`), `segment_ids` if there is one (`segment_column`), every column but the
    token and segment columns (`columns`), and what suits model and device
    (`batch_size`). An empty `preset` is the default preset.
    """

    inputs: tuple[str, ...]
    output: str
    preset: str = ""
    token_column: str = TOKEN_COLUMN
    segment_column: str | None = None
    columns: tuple[str, ...] | None = None
    format: FileFormat | None = None
    input_format: FileFormat | None = None
    compression: Compression = Compression.ZSTD
    pooling: Pooling = Pooling.POOLED
    normalize: bool = False
    output_dtype: OutputDtype = OutputDtype.FLOAT32
    padding: Padding = Padding.MAX
    sequence_length: int | None = None
    truncate: Truncate = Truncate.RIGHT
    pad_id: int | None = None
    dtype: ComputeDtype = ComputeDtype.AUTO
    batch_size: int | None = None
    device: str = "auto"
    limit: int | None = None
    overwrite: bool = False

    def recorded(self) -> dict[str, Any]:
        """Return the settings that decide an embedding, for the output's metadata."""
        return {
            "pooling": self.pooling.value,
            "normalize": self.normalize,
            "padding": self.padding.value,
            "truncate": self.truncate.value,
            "dtype": self.dtype.policy,
            "output_dtype": self.output_dtype.value,
        }
