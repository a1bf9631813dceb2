"""Devices: what was asked for, what is there, and how the processor's threads are shared out."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from fnet_cli.errors import UsageError

# More threads than this share the memory's bandwidth, not work.
_MAX_WORKERS = 16
_HINT = "use auto, cpu, gpu, or gpu:N, with several as gpu:0,1"


@dataclass(frozen=True)
class WantedDevice:
    """What `--device` says: 'auto', 'cpu' or 'gpu', and which GPUs; none means all."""

    kind: str
    indices: tuple[int, ...] = ()


def parse_device(text: str) -> WantedDevice:
    """Read auto, cpu, gpu, gpu:N or gpu:N,M; UsageError otherwise."""
    kind, colon, rest = text.partition(":")
    if kind in ("auto", "cpu", "gpu") and not colon:
        return WantedDevice(kind)
    numbers = rest.split(",")
    if kind == "gpu" and all(re.fullmatch(r"[0-9]{1,4}", part) for part in numbers):
        indices = tuple(map(int, numbers))
        if len(set(indices)) == len(indices):
            return WantedDevice(kind, indices)
    raise UsageError(f"there is no device {text!r}", hint=_HINT)


def device_names(backend: str, wanted: WantedDevice) -> list[str]:
    """Return Keras' names of the devices to run on: "cpu", or one or more of "gpu:N".

    `auto` takes every GPU, or the CPU where there is none. Raises UsageError for a GPU that is
    not there.
    """
    # Without an index: Keras on torch compares device names, and takes "cpu:0" for another one.
    if wanted.kind == "cpu":
        return ["cpu"]
    gpus = _GPU_COUNTS[backend]()
    if wanted.kind == "auto" and not gpus:
        return ["cpu"]
    indices = wanted.indices or tuple(range(max(gpus, 1)))
    missing = [index for index in indices if index >= gpus]
    if missing:
        raise UsageError(
            f"gpu:{missing[0]} was asked for, and {backend} sees {gpus or 'no'} "
            f"GPU{'s' * (gpus > 1)} here",
            hint="use --device cpu or auto",
        )
    return [f"gpu:{index}" for index in indices]


def usable_cores() -> int:
    """Return how many processors this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def share_threads(cores: int | None = None, most: int | None = None) -> int:
    """Give TensorFlow's operations a thread each and return how many graphs should run at once.

    Several graphs side by side keep all cores busy, where one graph's small operations do not
    divide well. Takes `cores`, or all that the process may run on, for `most` graphs at most.
    Returns 1 where TensorFlow runs already, or where the environment says how many threads it gets.
    """
    import tensorflow as tf

    if os.environ.get("TF_NUM_INTRAOP_THREADS") or os.environ.get("OMP_NUM_THREADS"):
        return 1
    cores = cores or usable_cores()
    workers = min(cores, most or _MAX_WORKERS, _MAX_WORKERS)
    try:
        tf.config.threading.set_intra_op_parallelism_threads(max(1, cores // workers))
        tf.config.threading.set_inter_op_parallelism_threads(workers)
    except RuntimeError:
        return 1
    return workers


def keep_weights_packed() -> None:
    """Have TensorFlow put the weights of a product into the processor's order once for a graph.

    Else it does so for every batch, and takes a kernel that makes bias and activation in passes of
    their own. Holds for every graph of the process, and is wrong where a weight changes.
    """
    # Read before the first graph, by TensorFlow's own oneDNN operations and nothing else.
    os.environ.setdefault("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")


def _gpu_count_tensorflow() -> int:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        try:  # so that one job does not take the whole card
            tf.config.experimental.set_memory_growth(gpu, True)
        except RuntimeError:  # TensorFlow already runs: the caller's own setting stands
            break
    return len(gpus)


def _gpu_count_jax() -> int:
    import jax

    return sum(device.platform in ("gpu", "cuda", "rocm") for device in jax.devices())


def _gpu_count_torch() -> int:
    import torch

    return int(torch.cuda.device_count())


_GPU_COUNTS = {
    "tensorflow": _gpu_count_tensorflow,
    "jax": _gpu_count_jax,
    "torch": _gpu_count_torch,
}
