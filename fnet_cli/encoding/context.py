"""The world around a job: what it is given by the program, notebook or worker that runs it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

from fnet_cli.config import Settings
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.output.opening import KeptCallback
from fnet_cli.encoding.report import ProgressCallback
from fnet_cli.encoding.watching import MemoryWatch
from fnet_cli.presets.pulling.events import EventCallback, ignore

EngineLoader = Callable[[EngineRequest], Engine]


@dataclass(frozen=True)
class JobContext:
    """Streams, environment, clock, how a model is loaded, who listens.

    A stream that is None is the process's own, looked at only where the job names it as `-`: in
    a notebook or a daemon there may be none. Where `is_stopping` says so, the job stops after the
    rows that are under way; `on_kept` is told of rows that it can go on from, also after an error.
    `memory` watches over this process, where the job has a limit.
    """

    settings: Settings = field(default_factory=lambda: Settings.from_env(os.environ))
    stdin: BinaryIO | None = None
    stdout: BinaryIO | None = None
    clock: Callable[[], float] = time.monotonic
    engine_loader: EngineLoader = load_engine
    on_progress: ProgressCallback = lambda _progress: None
    on_pull: EventCallback = ignore
    on_kept: KeptCallback = lambda _kept: None
    is_stopping: Callable[[], bool] = lambda: False
    memory: MemoryWatch | None = None
