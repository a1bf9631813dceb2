"""Keras, its backend and the devices: whether they start, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fnet_cli.checkup.findings import Finding, Verdict
from fnet_cli.checkup.probing import probe
from fnet_cli.checkup.world import World
from fnet_cli.units import show_count

_BACKENDS = ("tensorflow", "jax", "torch")
_GPU_WHEELS = {
    "tensorflow": "pip install 'tensorflow[and-cuda]'",
    "jax": "pip install 'jax[cuda12]'",
    "torch": "install a build of torch with CUDA",
}


def check_backend(world: World) -> Iterator[Finding]:
    """Start Keras and its backend, multiply two matrices, and list the devices."""
    chosen = world.variable("KERAS_BACKEND")
    if chosen and chosen not in _BACKENDS:
        found = f"KERAS_BACKEND is {chosen!r:.60}"
        yield Finding("backend", Verdict.PROBLEM, found, f"fnet runs on {', '.join(_BACKENDS)}")
        return
    result = probe(["backend"], world)["backend"]
    if "error" in result:
        yield _failed(chosen or "tensorflow", result["error"])
        return
    backend = result["backend"]
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    found = f"{versions}: starts in {result['seconds']:.1f} s"
    details = {key: result[key] for key in ("backend", "versions", "devices", "seconds")}
    if backend not in _BACKENDS:
        hint = f"set KERAS_BACKEND to one of {', '.join(_BACKENDS)}"
        yield Finding("backend", Verdict.PROBLEM, found, hint, details)
    elif not result["right"]:
        found = f"{versions}: a product of two matrices is wrong"
        hint = "another version of the backend, or another backend by KERAS_BACKEND"
        yield Finding("backend", Verdict.PROBLEM, found, hint, details)
    else:
        yield Finding("backend", Verdict.OK, found, details=details)
    yield _devices(backend, result["devices"], world)


def _failed(backend: str, error: str) -> Finding:
    hint = f"pip install --force-reinstall keras {backend}, or choose another by KERAS_BACKEND"
    if "SIGILL" in error:
        hint = "this build of the backend needs a processor with more features, such as AVX"
    elif "SIGKILL" in error:
        hint = "the system has ended it, mostly for want of memory"
    elif "did not answer" in error:
        hint = "is the environment on a slow network disk, or a GPU's driver stuck (nvidia-smi)?"
    return Finding(
        "backend", Verdict.PROBLEM, f"Keras on {backend} does not start: {error}", hint,
        {"backend": backend, "error": error},
    )  # fmt: skip


def _devices(backend: str, names: list[str], world: World) -> Finding:
    cards = nvidia_cards(world)
    details: dict[str, Any] = {"gpus": names, "cards": cards}
    if names:
        found = ", ".join(f"gpu:{index} {name}" for index, name in enumerate(names))
        return Finding("devices", Verdict.OK, found, details=details)
    if cards:
        found = f"{show_count(cards, 'NVIDIA GPU')}, none of which {backend} can use"
        hint = f"{_GPU_WHEELS[backend]}, and look at nvidia-smi for the driver"
        hidden = world.environ.get("CUDA_VISIBLE_DEVICES")
        if hidden is not None and hidden.strip() in ("", "-1"):
            hint = "CUDA_VISIBLE_DEVICES hides them: unset it"
        return Finding("devices", Verdict.WARNING, found, hint, details)
    return Finding("devices", Verdict.OK, "cpu; no GPU on this machine", details=details)


def nvidia_cards(world: World) -> int:
    """Count the cards that NVIDIA's driver knows."""
    place = world.root / "proc/driver/nvidia/gpus"
    try:
        return sum(1 for _ in place.iterdir())
    except OSError:
        return 0
