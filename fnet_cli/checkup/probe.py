"""Imports what it is told to, and runs the backend: in a process of its own, which may die of it.

Started by its path with the names of modules, it imports nothing of the package, writes a line of
JSON before and after each step to the file that PROBE_LINES names, and ends. The name `backend`
stands for Keras' backend, its devices, and one product on it.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Go through the names in the arguments."""
    with Path(os.environ["PROBE_LINES"]).open("a", encoding="utf-8") as lines:

        def tell(**record: Any) -> None:
            lines.write(json.dumps(record) + "\n")
            lines.flush()

        for name in sys.argv[1:]:
            tell(name=name, state="begun")
            started = time.monotonic()
            try:
                found = _backend() if name == "backend" else _imported(name)
            except BaseException as error:
                tell(name=name, state="failed", error=_told(error))
                if isinstance(error, KeyboardInterrupt):
                    raise
                if isinstance(error, Exception):
                    continue
                raise
            tell(name=name, state="done", seconds=time.monotonic() - started, **found)


def _imported(name: str) -> dict[str, Any]:
    module = importlib.import_module(name)
    return {"version": str(getattr(module, "__version__", ""))}


def _backend() -> dict[str, Any]:
    import keras

    backend = keras.backend.backend()
    framework = importlib.import_module(backend)
    product = keras.ops.matmul(keras.ops.ones((8, 8)), keras.ops.ones((8, 8)))
    return {
        "backend": backend,
        "versions": {"keras": keras.__version__, backend: str(framework.__version__)},
        "devices": _DEVICES.get(backend, lambda _: [])(framework),
        "right": float(keras.ops.sum(product)) == 512.0,
    }


def _of_tensorflow(tensorflow: Any) -> list[str]:
    details = tensorflow.config.experimental.get_device_details
    return [
        details(gpu).get("device_name", gpu.name)
        for gpu in tensorflow.config.list_physical_devices("GPU")
    ]


def _of_jax(jax: Any) -> list[str]:
    return [device.device_kind for device in jax.devices() if device.platform != "cpu"]


def _of_torch(torch: Any) -> list[str]:
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]


_DEVICES = {"tensorflow": _of_tensorflow, "jax": _of_jax, "torch": _of_torch}


def _told(error: BaseException) -> str:
    """Return the innermost cause: it names the library or the file that is missing."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


if __name__ == "__main__":
    main()
