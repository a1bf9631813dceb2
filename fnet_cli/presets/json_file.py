"""Reading JSON from files that nobody vouches for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from fnet_cli.constants import MAX_JSON_BYTES
from fnet_cli.errors import PresetError


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object of bounded size; duplicate keys and NaN are refused.

    Raises PresetError naming the file.
    """

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not a JSON number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = dict(pairs)
        if len(keys) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return keys

    if path.exists() and not path.is_file():  # a FIFO would be waited for without end
        raise PresetError(f"{path}: not a regular file")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_JSON_BYTES + 1)
        if len(data) > MAX_JSON_BYTES:
            raise PresetError(f"{path}: larger than {MAX_JSON_BYTES:,} bytes")
        value = json.loads(data.decode("utf-8"), parse_constant=refuse, object_pairs_hook=unique)
    except OSError as error:
        raise PresetError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PresetError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise PresetError(f"{path}: holds no JSON object")
    return value
