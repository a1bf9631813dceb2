"""FNet text embeddings: a Keras 3 backbone compatible with KerasHub's, and the `fnet` program.

Names are imported on first use, so that `import fnet_cli` starts neither Keras nor TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from fnet_cli.constants import __version__

if TYPE_CHECKING:
    from fnet_cli.backbone.encoder import FNetEncoder
    from fnet_cli.backbone.model import FNetBackbone
    from fnet_cli.encoding.encoder import Encoder
    from fnet_cli.encoding.job import encode_files
    from fnet_cli.encoding.options import EncodeOptions
    from fnet_cli.errors import FnetError
    from fnet_cli.tokenizer.tokenizer import FNetTokenizer

__all__ = [
    "EncodeOptions",
    "Encoder",
    "FNetBackbone",
    "FNetEncoder",
    "FNetTokenizer",
    "FnetError",
    "__version__",
    "encode_files",
]

_HOMES = {
    "EncodeOptions": "fnet_cli.encoding.options",
    "Encoder": "fnet_cli.encoding.encoder",
    "FNetBackbone": "fnet_cli.backbone.model",
    "FNetEncoder": "fnet_cli.backbone.encoder",
    "FNetTokenizer": "fnet_cli.tokenizer.tokenizer",
    "FnetError": "fnet_cli.errors",
    "encode_files": "fnet_cli.encoding.job",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
