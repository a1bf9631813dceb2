"""Files of token ids as text again, to look at."""

from __future__ import annotations

from collections.abc import Iterator

from fnet_cli.constants import MAX_WINDOW_ROWS
from fnet_cli.encoding.checking import check_id_column
from fnet_cli.encoding.options import InputFormat
from fnet_cli.encoding.readers.opening import open_source
from fnet_cli.encoding.readers.places import InputFile
from fnet_cli.encoding.rows import IdColumn, read_ids
from fnet_cli.errors import PresetError
from fnet_cli.presets.resolving import LocalPreset


def detokenized(
    preset: LocalPreset,
    tokens: str | InputFile,
    input_format: InputFormat | None,
    token_column: str,
    *,
    skip_special: bool,
) -> Iterator[tuple[int, str]]:
    """Yield the number of each row of a file, as its reader counts, and its text.

    Raises InputDataError for a row that is no list of the vocabulary's ids, and PresetError for
    a preset without a vocabulary.
    """
    if preset.vocabulary is None:
        raise PresetError(f"{preset.handle} has no tokenizer")
    tokenizer = preset.tokenizer()
    source = open_source(tokens, input_format, None)
    if not source.schema.names:  # an empty JSON lines file
        return
    check_id_column(source, token_column)
    column = IdColumn(token_column, tokenizer.vocabulary_size(), "the vocabulary")
    for rows in source.batches([token_column], MAX_WINDOW_ROWS):
        ids = read_ids(rows, column)
        spans = zip(ids.starts, ids.starts + ids.lengths, strict=True)
        texts = tokenizer.detokenize(
            [ids.values[start:end] for start, end in spans], skip_special=skip_special
        )
        yield from zip(rows.numbers.tolist(), texts, strict=True)
