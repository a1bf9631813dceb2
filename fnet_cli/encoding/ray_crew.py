"""The parts of a job made by actors of a Ray cluster.

Each actor loads the model once, reads its fragments itself and writes their parts itself, so that
rows pass neither through this process nor through Ray's object store. What passes is the plan, the
preset to a node that does not have it, and counts. An actor that dies is replaced, on whatever node
there is, and its fragment begun again where its part has got to.
"""

from __future__ import annotations

import logging
import math
import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.engine.base import Engine, EngineRequest
from fnet_cli.encoding.engine.devices import usable_cores
from fnet_cli.encoding.engine.loading import load_engine
from fnet_cli.encoding.fragments import Fragment
from fnet_cli.encoding.model import Model
from fnet_cli.encoding.needing import share_of
from fnet_cli.encoding.options import RayOptions
from fnet_cli.encoding.output.journal import Counts
from fnet_cli.encoding.output.parts import PartRecord
from fnet_cli.encoding.part import PartsPlan
from fnet_cli.encoding.supervising import (
    MOST_ATTEMPTS,
    Crew,
    Live,
    WorkDone,
    died_again_and_again,
    work_on,
)
from fnet_cli.encoding.watching import MemoryWatch
from fnet_cli.errors import NetworkError, PresetError, UsageError
from fnet_cli.presets.fingerprint import weights_sha256
from fnet_cli.presets.resolving import LocalPreset
from fnet_cli.units import show_bytes

# How often actors are asked how far they are.
_LIVE_SECONDS = 1.0
# Of a cluster that is started here: what passes through its store is a preset and a plan.
_STORE_BYTES = 2 * 1024**3


@contextmanager
def on_ray(job: PartsPlan, settings: Settings, workers: int) -> Iterator[Crew]:
    """Start actors on a cluster, and end them with the body, and a cluster that was started here.

    Raises UsageError where Ray is not installed or the cluster is too small for an actor, and
    NetworkError where it cannot be reached.
    """
    ray = _import_ray()
    options = job.plan.options.ray
    started_here = _connect(ray, options, settings.timeout)
    with ExitStack() as leaving:
        # Ray prints that a worker or a node died, also while it is left; standard output is the
        # job's record's alone.
        nowhere = leaving.enter_context(Path(os.devnull).open("w"))
        leaving.enter_context(redirect_stdout(nowhere))
        leaving.callback(ray.shutdown)
        cpus = options.cpus
        if cpus is None:
            cpus = max(1, usable_cores() // workers) if started_here else 1
        limit = job.plan.options.memory_limit
        memory = None if limit is None else share_of(limit, job.plan.options, workers)
        each = _Each(cpus, options.gpus, memory)
        _check_size(ray, each)
        crew = _ActorCrew(ray, job, settings, (workers, each))
        leaving.callback(crew.dismiss)
        yield crew


def _import_ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "--executor ray needs Ray, which is not installed",
            hint="pip install 'fnet-cli[ray]', also on the nodes of the cluster",
        ) from error
    return ray


def _check_address(address: str, seconds: float) -> None:
    """Raise NetworkError where nobody listens: Ray would try for ten minutes and more."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), seconds).close()
        except OSError as error:
            raise NetworkError(
                f"no Ray cluster answers at {address}: {error.strerror or error}",
                hint="see `ray status` there; without --address, one is started here",
            ) from error


def _connect(ray: Any, options: RayOptions, seconds: float) -> bool:
    """Connect to a cluster, or start one; return whether it was started here."""
    address = options.address or os.environ.get("RAY_ADDRESS") or None
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in signals}
    # Nobody should look for numbers of this job on a page that anyone on the network may see.
    local = {} if address else {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
    if address:
        _check_address(address, seconds)
    else:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody was asked
    try:
        ray.init(address, logging_level=logging.ERROR, log_to_driver=False, **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        what = address or "a cluster on this machine"
        raise NetworkError(
            f"Ray: {what}: {' '.join(str(error).split()):.200}",
            hint="name a cluster with --address, or leave it out to start one here",
        ) from error
    finally:
        for number, handler in handlers.items():  # Ray has its own, which end the process at once
            with suppress(ValueError):  # not in the main thread, where there are none to keep
                signal.signal(number, handler)
    return address is None


@dataclass(frozen=True)
class _Each:
    """What an actor takes of the cluster; `memory` in bytes, None where there is no limit."""

    cpus: float
    gpus: float
    memory: int | None

    @property
    def resources(self) -> dict[str, float]:
        """The same by Ray's names of what a node has."""
        return {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory or 0}


def _check_size(ray: Any, each: _Each) -> None:
    """Raise UsageError where no node has room for an actor: it would be waited for without end."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = each.resources
    if not any(all(node.get(name, 0) >= wanted[name] for name in wanted) for node in nodes):
        memory = "" if each.memory is None else f" and {show_bytes(each.memory)} of memory"
        raise UsageError(
            f"no node of the Ray cluster has {each.cpus:g} CPUs and {each.gpus:g} GPUs{memory} "
            "for a worker",
            hint="lower --cpus-per-worker or --gpus-per-worker"
            + (memory and ", or --memory-limit"),
        )


@dataclass(eq=False)
class _Task:
    """A fragment that an actor has, and what it came to in the end."""

    fragment: Fragment
    told: tuple[PartRecord, dict[str, int]]
    actor: Any
    answer: Any
    deaths: int = 0
    done: WorkDone | None = None


class _ActorCrew:
    """Actors, one for each worker; who dies is replaced, and its task is given to the new one."""

    def __init__(
        self, ray: Any, job: PartsPlan, settings: Settings, size: tuple[int, _Each]
    ) -> None:
        self._ray, self._job = ray, job
        self.size, each = size
        # Threads: to answer while it encodes.
        hired = ray.remote(
            num_cpus=each.cpus, num_gpus=each.gpus, memory=each.memory, max_concurrency=2
        )(RayWorker)
        # In a list, so that the preset is fetched by who needs it only.
        sent = [ray.put(job), ray.put(_preset_files(job))]
        here = os.getcwd()  # noqa: PTH109 - sent as text
        room = Room(max(1, math.ceil(each.cpus)), each.memory)
        self._hire = partial(hired.remote, sent, settings, room, here)
        self._free = [self._hire() for _ in range(self.size)]
        self._tasks: list[_Task] = []
        self._asked: dict[Any, Any] = {}
        self._seen: dict[Any, Live] = {}
        self._heard_of: set[Any] = set()

    def submit(self, fragment: Fragment, before: PartRecord, batch_tokens: dict[str, int]) -> _Task:
        """Give a fragment to an actor that has none."""
        actor, told = self._free.pop(), (before, batch_tokens)
        task = _Task(fragment, told, actor, actor.encode.remote(fragment, *told))
        self._tasks.append(task)
        return task

    def ended(self, tasks: Iterable[_Task], seconds: float) -> list[_Task]:
        """Return tasks that have ended, not those that another actor has to begin again."""
        by_answer = {task.answer: task for task in tasks}
        answers, _ = self._ray.wait(list(by_answer), num_returns=len(by_answer), timeout=seconds)
        for answer in answers:
            self._settle(by_answer[answer])
        self._take_over()
        return [by_answer[answer] for answer in answers if by_answer[answer].done is not None]

    def _take_over(self) -> None:
        """Give a fragment of an actor that was never heard of to one that has nothing to do.

        Where a node is lost, none may have room for another actor, and it is waited for in vain.
        """
        able = [actor for actor in self._free if actor in self._heard_of]
        unheard = [task for task in self._tasks if task.actor not in self._heard_of]
        for actor, task in zip(able, unheard, strict=False):
            self._free.remove(actor)
            self._ray.kill(task.actor)
            task.actor, task.answer = actor, actor.encode.remote(task.fragment, *task.told)

    def _settle(self, task: _Task) -> None:
        """Take a task's answer; raises what an actor did not expect."""
        self._seen.pop(task.actor, None)
        try:
            done: WorkDone = self._ray.get(task.answer)
        except self._ray.exceptions.RayTaskError:
            raise
        except self._ray.exceptions.RayError as error:
            task.deaths += 1
            task.actor = self._hire()
            if task.deaths < MOST_ATTEMPTS:
                task.answer = task.actor.encode.remote(task.fragment, *task.told)
                return
            name = self._job.directory.name_of(task.fragment.number)
            died = died_again_and_again(name, " ".join(str(error).split()))
            done = WorkDone(None, None, Counts(), died)
        self._heard_of.add(task.actor)
        # What an attempt before has left is of this very job.
        task.done = replace(done, resumed=Counts()) if task.deaths else done

    def result(self, task: _Task) -> WorkDone:
        """Return what a task came to."""
        self._tasks.remove(task)
        self._free.append(task.actor)
        assert task.done is not None  # it has ended
        return task.done

    def live(self) -> Live:
        """Return what actors have answered lately; one that is starting or dead says nothing."""
        asked = list(self._asked)
        ready = self._ray.wait(asked, num_returns=len(asked), timeout=0)[0] if asked else []
        for answer in ready:
            actor = self._asked.pop(answer)
            with suppress(self._ray.exceptions.RayError):
                self._seen[actor] = self._ray.get(answer)
                self._heard_of.add(actor)
        waiting = set(self._asked.values())
        for task in self._tasks:
            if task.actor not in waiting:
                self._asked[task.actor.live.remote(_LIVE_SECONDS)] = task.actor
        current = {task.actor for task in self._tasks}
        return sum((seen for actor, seen in self._seen.items() if actor in current), Live())

    def stop(self) -> None:
        """Ask all actors to stop."""
        for task in self._tasks:
            task.actor.stop.remote()

    def dismiss(self) -> None:
        """End the actors, and what they have on their nodes."""
        with suppress(self._ray.exceptions.RayError):
            closing = [actor.close.remote() for actor in self._free]
            if closing:
                self._ray.wait(closing, num_returns=len(closing), timeout=5)
        for actor in [*self._free, *(task.actor for task in self._tasks)]:
            with suppress(self._ray.exceptions.RayError):
                self._ray.kill(actor)


def _preset_files(job: PartsPlan) -> dict[str, bytes]:
    """Return the files of the job's preset, by their names in its directory."""
    preset = job.plan.preset
    names = [path.relative_to(preset.directory).as_posix() for path in preset.weight_files]
    every = dict.fromkeys([*preset.layout.files.all, *names])
    paths = {name: preset.directory / name for name in every}
    return {name: path.read_bytes() for name, path in paths.items() if path.is_file()}


@dataclass(frozen=True)
class Room:
    """What an actor has of its node: cores, and bytes of memory, None where there is no limit."""

    cores: int
    memory: int | None


class RayWorker:
    """An actor: encodes fragments of a job on its node."""

    def __init__(self, sent: list[Any], settings: Settings, room: Room, directory: str) -> None:
        with suppress(OSError):  # paths that are not absolute are those of the job's process
            os.chdir(directory)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # Ray's way to share the processor out, which changes the last digits; `cores` is ours.
        os.environ.pop("OMP_NUM_THREADS", None)
        self._job = _with_preset_here(*sent)
        self._cores, self._stopping = room.cores, False
        self._listener = _Following()
        memory = None
        if room.memory is not None:  # to the end of this process; Ray itself holds nobody to it
            memory = MemoryWatch(room.memory, owns_process=True, ends_process=True).__enter__()
        self._model = Model(JobContext(settings, engine_loader=self._load, memory=memory))

    def _load(self, request: EngineRequest) -> Engine:
        return load_engine(replace(request, own_process=True, only_model=True, cores=self._cores))

    def encode(
        self, fragment: Fragment, before: PartRecord, batch_tokens: dict[str, int]
    ) -> WorkDone:
        """Encode a fragment into its part."""
        self._listener = _Following(is_ready=self._listener.seen.is_ready)
        told = (lambda: self._stopping, before, batch_tokens)
        # One that lost its driver, or its node, may still work on the part, and keep its lock.
        job = replace(self._job, attempt=secrets.token_hex(4))
        return work_on(job, fragment, self._model, self._listener, told)

    def live(self, seconds: float) -> Live:
        """Return, some seconds later, how far the part is."""
        time.sleep(seconds)
        return self._listener.seen

    def stop(self) -> None:
        """Stop after the rows that are under way."""
        self._stopping = True

    def close(self) -> None:
        """Remove what is left of parts, where that is of no use to a later run."""
        place = self._job.directory.place
        if not place.keeps_work:
            shutil.rmtree(place.work, ignore_errors=True)


class _Following:
    """Keeps how far a part is, to be asked for."""

    def __init__(self, *, is_ready: bool = False) -> None:
        self.before = Counts()
        self.seen = Live(is_ready=is_ready)

    def resumed(self, counts: Counts) -> None:
        """Note what was there."""
        self.before = counts
        self.advanced(counts.rows, counts.tokens)

    def ready(self) -> None:
        """Note that a model is loaded."""
        self.seen += Live(is_ready=True)

    def advanced(self, rows: int, tokens: int) -> None:
        """Add rows."""
        self.seen += Live(rows=rows, tokens=tokens)


def _is_whole(preset: LocalPreset, job: PartsPlan) -> bool:
    """Whether a preset's weights are on this node: a directory of that name may be anyone's."""
    try:
        return bool(weights_sha256(preset) == job.plan.weights_sha256)
    except (PresetError, OSError):
        return False


def _with_preset_here(sent_job: Any, files: Any) -> PartsPlan:
    """Return the job with its preset where this node has it, after fetching it if it has not."""
    import ray

    job: PartsPlan = ray.get(sent_job)
    preset = job.plan.preset
    if _is_whole(preset, job):
        return job
    # By the weights' digest, so that jobs of one preset on a node share it.
    here = Path(tempfile.gettempdir(), f"fnet-preset-{os.getuid()}-{job.plan.weights_sha256}")
    moved = replace(preset, directory=here, cached=None)
    if not _is_whole(moved, job):
        made = Path(tempfile.mkdtemp(prefix="fnet-preset-"))
        for name, content in ray.get(files).items():
            (made / name).parent.mkdir(parents=True, exist_ok=True)
            (made / name).write_bytes(content)
        try:
            made.rename(here)
        except OSError:  # another actor of this node was first
            shutil.rmtree(made, ignore_errors=True)
    return replace(job, plan=replace(job.plan, preset=moved))
