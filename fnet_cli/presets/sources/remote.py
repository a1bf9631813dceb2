"""The places that presets are fetched from: one table."""

from __future__ import annotations

from fnet_cli.config import Settings
from fnet_cli.presets.handles import SourceName
from fnet_cli.presets.sources.base import RemoteSource
from fnet_cli.presets.sources.huggingface import HuggingFaceSource
from fnet_cli.presets.sources.kaggle import KaggleSource
from fnet_cli.presets.sources.mirror import MirrorSource


def remote_source(name: SourceName, settings: Settings) -> RemoteSource:
    """Return the source of that name. Its client is imported when it is first asked."""
    match name:
        case SourceName.KAGGLE:
            return KaggleSource(settings)
        case SourceName.HUGGING_FACE:
            return HuggingFaceSource(settings)
        case SourceName.MIRROR:
            return MirrorSource(settings)
