"""What a hostile preset or archive is, and what it starts from."""

from __future__ import annotations

import base64
import json
import marshal
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Build = Callable[[Path], object]

# Payloads import this, run this, or let a shell run this: each leaves a file behind.
CANARY = "FNET_CANARY"
CANARY_MODULE = "canary_module"
CANARY_CODE = f"import os; open(os.environ['{CANARY}'], 'w').close()"


@dataclass(frozen=True)
class Case:
    """One thing that must not work.

    `build` spoils a sound preset in the directory it is given, or the archive `preset.tar` there.
    `says` is in the one line about it. A `code` of 0 is for what is never looked at: the preset
    is read as if it were not there.
    """

    name: str
    build: Build
    says: str = ""
    code: int = 4


class Shell:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.system, (f'touch "${CANARY}"',)


def lambda_layer() -> dict[str, Any]:
    """Return a layer with code in it, as Keras writes one."""
    code = marshal.dumps(compile(CANARY_CODE, "layer", "exec"))
    function = {"class_name": "__lambda__", "config": {"code": base64.b64encode(code).decode()}}
    return {
        "module": "keras.layers",
        "class_name": "Lambda",
        "config": {"name": "lambda", "function": function},
        "registered_name": None,
    }


def foreign() -> dict[str, Any]:
    """Return an object of a class in a module that leaves a file behind when it is imported."""
    return {"module": CANARY_MODULE, "class_name": "Canary", "config": {}, "registered_name": None}


def write(name: str, data: bytes | str) -> Build:
    """Replace a file."""
    content = data if isinstance(data, bytes) else data.encode()
    return lambda directory: (directory / name).write_bytes(content)


def change_json(name: str, change: Callable[[dict[str, Any]], object]) -> Build:
    """Edit the object in a JSON file."""

    def build(directory: Path) -> None:
        document = json.loads((directory / name).read_text())
        change(document)
        (directory / name).write_text(json.dumps(document))

    return build


def instead(name: str, make: Callable[[Path], object]) -> Build:
    """Remove a file, and let `make` put something else in its place."""

    def build(directory: Path) -> None:
        (directory / name).unlink(missing_ok=True)
        make(directory / name)

    return build


def link(name: str, target: str) -> Build:
    """Replace a file by a link; `../outside` is outside of the preset."""
    return instead(name, lambda path: path.symlink_to(target))


def after(*builds: Build) -> Build:
    def build(directory: Path) -> None:
        for step in builds:
            step(directory)

    return build
