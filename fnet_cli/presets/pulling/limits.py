"""What a file of a preset may be, before and after its bytes are here."""

from __future__ import annotations

from pathlib import Path

from fnet_cli.constants import (
    MAX_BYTES_PER_PARAMETER,
    MAX_DOCUMENTATION_BYTES,
    MAX_JSON_BYTES,
    MAX_SAFETENSORS_HEADER_BYTES,
    MAX_VOCABULARY_FILE_BYTES,
    MAX_WEIGHT_OVERHEAD_BYTES,
)
from fnet_cli.errors import PresetError
from fnet_cli.presets.json_file import read_json_object

_WEIGHTS = (".h5", ".safetensors", ".bin")
_VOCABULARIES = (".spm", ".model")
_HDF5 = b"\x89HDF\r\n\x1a\n"


def largest(name: str, parameters: int) -> int:
    """Return how many bytes a file of that name may have in a preset of so many parameters."""
    if name.endswith(".json"):
        return MAX_JSON_BYTES
    if name.endswith(_VOCABULARIES):
        return MAX_VOCABULARY_FILE_BYTES
    if name.endswith(_WEIGHTS):
        return parameters * MAX_BYTES_PER_PARAMETER + MAX_WEIGHT_OVERHEAD_BYTES
    return MAX_DOCUMENTATION_BYTES


def check_beginning(name: str, path: Path) -> None:
    """Raise PresetError where a complete file is not of the kind that its name says.

    Servers send error pages with status 200; a page is no JSON object and has no signature.
    """
    if name.endswith(".json"):
        read_json_object(path)
        return
    with path.open("rb") as file:
        head = file.read(16)
    if name.endswith(".h5"):
        fits = head.startswith(_HDF5)
    elif name.endswith(".safetensors"):
        length = int.from_bytes(head[:8], "little")
        fits = length <= MAX_SAFETENSORS_HEADER_BYTES and head[8:9] == b"{"
    elif name.endswith(_VOCABULARIES):
        fits = head.startswith(b"\n")  # the first field of a sentencepiece model, its pieces
    else:
        fits = not head.lstrip().startswith(b"<")
    if not fits:
        raise PresetError(f"what came as {name} is something else: it starts with {head!r}")
