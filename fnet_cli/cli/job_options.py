"""Options that the commands that turn files of rows into others share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from fnet_cli.cli.completing import complete_column, complete_columns, complete_preset
from fnet_cli.constants import TEXT_COLUMN
from fnet_cli.encoding.options import (
    Compression,
    EncodeOptions,
    Executor,
    InputFormat,
    OnError,
    OnNull,
    OutputFormat,
    PairTruncate,
    TextOptions,
    Truncate,
)
from fnet_cli.errors import UsageError
from fnet_cli.memory import parse_size, total_bytes

INPUT, TEXT, MODEL, OUTPUT, RUN = "Input", "Text", "Model", "Output", "Run"


def option(
    text: str, panel: str, *names: str, metavar: str | None = None, complete: Any = None
) -> Any:
    """Return an option with its help, shown among those of a panel.

    `complete` says what a shell offers for its value.
    """
    return typer.Option(
        *names, help=text, rich_help_panel=panel, metavar=metavar, autocompletion=complete
    )


Inputs = Annotated[
    list[str],
    typer.Argument(
        help="Parquet, Arrow, JSON lines, CSV, TSV or plain text files (lines also .gz, .zst), "
        "directories of them, patterns in quotes, URIs (s3://, gs://, hdfs://, file://), or "
        "- for standard input.",
        metavar="INPUT",
    ),
]
OutputFile = Annotated[
    str,
    option(
        "File to write, a directory (with a / in the end) for a file for each part of the rows, "
        "either also as a URI, or - for JSON lines on standard output.",
        OUTPUT,
        "-o",
        "--output",
    ),
]
TokensFile = Annotated[
    str,
    option("File to write, or - for JSON lines on standard output.", OUTPUT, "-o", "--output"),
]
Preset = Annotated[
    str,
    option(
        "Preset name, handle or directory. Default: FNET_PRESET, `preset` in a file of settings, "
        "or the bundled f_net_mini_en.",
        MODEL,
        metavar="NAME|HANDLE|DIR",
        complete=complete_preset,
    ),
]
InputKind = Annotated[
    InputFormat | None,
    option("Format of the inputs, over their suffix; of - it is jsonl by default.", INPUT),
]
Endpoint = Annotated[
    str | None,
    option(
        "Address of a server that speaks the protocol of S3, for s3://. Default: "
        "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, or Amazon's.",
        INPUT,
        metavar="URL",
    ),
]
Limit = Annotated[int | None, option("Take the first N rows only.", INPUT, metavar="N")]
RowTruncation = Annotated[Truncate, option("What to do with longer rows.", MODEL)]
Columns = Annotated[
    list[str] | None,
    option(
        "Input columns to keep, separated by commas; '' keeps none. Default: all but those of "
        "ids, and but the text of chunks.",
        OUTPUT,
        complete=complete_columns,
    ),
]
OutputKind = Annotated[
    OutputFormat | None, option("Format of the output, over its suffix.", OUTPUT, "--format")
]
ParquetCodec = Annotated[Compression, option("Parquet codec.", OUTPUT)]
Overwrite = Annotated[bool, option("Replace an existing output.", OUTPUT, "--overwrite")]
Resume = Annotated[
    bool,
    option(
        "Go on from what an interrupted run of this command has written; begin where there is "
        "nothing.",
        OUTPUT,
        "--resume",
    ),
]

PartRows = Annotated[
    int | None,
    option(
        "Most rows of a part, of an output made in parts: a directory, a file in a store, or one "
        "of several workers. Default: what suits the job.",
        OUTPUT,
        metavar="N",
    ),
]

WorkerCount = Annotated[
    int,
    option(
        "Processes that encode parts side by side, of a directory or of one file; cores or GPUs "
        "are divided between them.",
        "Run",
        metavar="N",
    ),
]

CLUSTER = "Cluster"
ExecutorKind = Annotated[
    Executor,
    option("Who makes the parts: processes of this machine, or actors of Ray.", CLUSTER),
]
Address = Annotated[
    str,
    option(
        "Ray cluster: auto, ray://HOST:PORT or HOST:PORT. Default: RAY_ADDRESS, else one that is "
        "started here.",
        CLUSTER,
        metavar="ADDRESS",
    ),
]
CpusPerWorker = Annotated[
    float | None,
    option(
        "CPUs of a Ray worker. Default: 1, or an equal share where the cluster is started here.",
        CLUSTER,
        metavar="F",
    ),
]
GpusPerWorker = Annotated[float, option("GPUs of a Ray worker.", CLUSTER, metavar="F")]

MemoryLimit = Annotated[
    str | None,
    option(
        "Most that all processes of the job have in memory: 4GB, 1500MB, 2GiB, or 80% of what the "
        "machine has. The result is the same.",
        RUN,
        "--memory-limit",
        metavar="SIZE",
    ),
]

OnBadRow = Annotated[
    OnError,
    option(
        "What to do with a row or file that cannot be used: fail, skip it and count it as "
        "rejected, or quarantine, which also writes it to OUTPUT.rejected.jsonl with the reason.",
        INPUT,
    ),
]
MostErrors = Annotated[
    str | None,
    option("Fail after more than N errors, or P% of the rows.", INPUT, metavar="N|P%"),
]

TextColumn = Annotated[
    str | None,
    option(
        f"Column of text, which is tokenized. Default: {TEXT_COLUMN} where any option of this "
        "panel is given, and for .txt.",
        TEXT,
        complete=complete_column,
    ),
]
PairColumn = Annotated[
    str | None,
    option(
        "Column of a second text, which follows the first in the row.",
        TEXT,
        complete=complete_column,
    ),
]
PairTruncation = Annotated[
    PairTruncate | None,
    option(
        "Which text of a pair gives way: the longer one, token by token (round_robin, the "
        "default), or the second (waterfall).",
        TEXT,
    ),
]
NullText = Annotated[
    OnNull | None,
    option(
        "What to do with a null text: error (the default), empty, or skip the row and count it "
        "as rejected.",
        TEXT,
    ),
]
Chunk = Annotated[
    int | None,
    option(
        "Cut each text into rows of up to N tokens, with columns document, chunk, char_start and "
        "char_end.",
        TEXT,
        metavar="N",
    ),
]
Overlap = Annotated[
    int | None, option("Tokens that a chunk repeats of the one before it.", TEXT, metavar="M")
]


def text_options(**flags: Any) -> TextOptions | None:
    """Return what the flags of TextOptions say that are not None, and None where all are.

    Raises UsageError where they contradict each other.
    """
    chosen = {name: value for name, value in flags.items() if value is not None}
    return TextOptions(**chosen) if chosen else None


def memory_limit(text: str | None) -> int | None:
    """Return the bytes that a limit is; raises UsageError for what is none."""
    return None if text is None else parse_size(text, total_bytes())


def split_names(values: list[str] | None) -> tuple[str, ...] | None:
    """Return names that commas separate, in any number of values; None for none."""
    if values is None:
        return None
    return tuple(name for value in values for name in value.split(",") if name)


def check_one_stdout(options: EncodeOptions, *, as_json: bool) -> None:
    """Raise UsageError where rows and the closing record would go into one stream."""
    if as_json and options.output == "-":
        raise UsageError(
            "--json and -o - both write to standard output", hint="write the rows to a file"
        )
