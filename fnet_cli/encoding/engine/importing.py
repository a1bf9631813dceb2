"""The Keras backend, imported: the longest part of a program's start."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from fnet_cli.errors import InstallationError, UsageError

BACKENDS = ("tensorflow", "jax", "torch")
# Keras imports these where they are installed, for what no engine does: pictures of images, and
# scikit-learn's interface. It does without where they are not, and to import both takes more than
# half of TensorFlow's time (docs/performance.md). (pandas too, but pyarrow has that already.)
_NOT_NEEDED = ("matplotlib", "sklearn")


def import_backend(*, only_model: bool = False) -> str:
    """Import Keras with its backend and return the backend's name.

    `only_model` leaves out what Keras can do without, for all of the process, which is a program's
    to choose. Raises UsageError for a backend that is not there, and InstallationError.
    """
    chosen = os.environ.get("KERAS_BACKEND", "")
    if chosen and chosen not in BACKENDS:
        raise UsageError(f"KERAS_BACKEND is {chosen!r}", hint=f"fnet runs on {', '.join(BACKENDS)}")
    try:
        with _only_what_is_needed() if only_model else nullcontext():
            import keras
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the Keras backend {chosen or 'tensorflow'} cannot be imported: {error}",
            hint="install it, or choose another with KERAS_BACKEND",
        ) from error
    except ImportError as error:
        raise InstallationError(
            f"Keras on {chosen or 'tensorflow'} does not start: {error}",
            hint="fnet doctor looks into it; a reinstallation of the backend mostly helps",
        ) from error
    backend: str = keras.backend.backend()
    if backend not in BACKENDS:
        raise UsageError(
            f"Keras is set to the backend {backend}",
            hint=f"set KERAS_BACKEND to one of {', '.join(BACKENDS)}",
        )
    return backend


@contextmanager
def _only_what_is_needed() -> Iterator[None]:
    """Let imports find none of `_NOT_NEEDED`, and have no garbage collected meanwhile.

    What an import makes stays, and the collector would walk all of it again and again.
    """
    hidden = [name for name in _NOT_NEEDED if name not in sys.modules]
    collecting = gc.isenabled()
    gc.disable()
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
        gc.freeze()
    finally:
        for name in hidden:
            sys.modules.pop(name, None)
        if collecting:
            gc.enable()
