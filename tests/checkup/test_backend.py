"""A backend that cannot start is a line of the report, whatever it does to its process."""

from __future__ import annotations

import pytest
from worlds import with_modules, world_in

from fnet_cli.checkup.backend import check_backend
from fnet_cli.checkup.probing import probe

# What a Keras is to the probe that works and one that does not.
WORKING = """
__version__ = "3.99"
class backend:
    backend = staticmethod(lambda: {backend!r})
class ops:
    ones = matmul = staticmethod(lambda *_: None)
    sum = staticmethod(lambda _: {total})
"""
TORCH = """
__version__ = "9.9"
class cuda:
    device_count = staticmethod(lambda: {gpus})
    get_device_name = staticmethod(lambda index: f"Card {{index}}")
"""
CARD = "proc/driver/nvidia/gpus/0000:00:01.0"


def looked_at(tmp_path, keras, torch="", **changes):
    environ = with_modules(tmp_path / "modules", keras=keras, torch=torch)
    environ |= changes.pop("variables", {})
    findings = list(check_backend(world_in(tmp_path, environ, **changes)))
    return [(finding.verdict.value, finding.found, finding.hint) for finding in findings]


@pytest.mark.parametrize(
    ("keras", "reason", "advice"),
    [
        (
            "raise ImportError('libcudart.so.12: no such file')",
            "ImportError: libcudart.so.12",
            "pip",
        ),
        ("import os; os.abort()", "it ended the process (SIGABRT)", "pip"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "(SIGILL)", "AVX"),
        ("import os; os._exit(3)", "the process ended with code 3", "pip"),
        ("raise SystemExit(1)", "SystemExit", "pip"),
    ],
)
def test_a_backend_that_does_not_start_is_a_problem_with_its_reason(
    tmp_path, keras, reason, advice
):
    ((verdict, found, hint),) = looked_at(tmp_path, keras)
    assert verdict == "problem"
    assert found.startswith("Keras on tensorflow does not start: ")
    assert reason in found
    assert advice in hint


def test_a_backend_that_hangs_is_left_after_a_while(tmp_path):
    ((verdict, found, hint),) = looked_at(tmp_path, "import time; time.sleep(3600)", seconds=0.5)
    assert (verdict, found.partition(": ")[2]) == ("problem", "it did not answer within 0.5 s")
    assert "nvidia-smi" in hint


def test_what_dies_takes_nothing_else_along(tmp_path):
    environ = with_modules(tmp_path / "modules", first="", second="import os; os.abort()", third="")
    results = probe(["first", "second", "third"], world_in(tmp_path, environ))
    assert ["error" in results[name] for name in ("first", "second", "third")] == [
        False, True, False,
    ]  # fmt: skip


def test_the_devices_are_named(tmp_path):
    (tmp_path / CARD).mkdir(parents=True)
    keras = WORKING.format(backend="torch", total=512)
    backend, devices = looked_at(tmp_path, keras, TORCH.format(gpus=2))
    assert backend[1].startswith("keras 3.99, torch 9.9: starts in ")
    assert devices == ("ok", "gpu:0 Card 0, gpu:1 Card 1", "")


@pytest.mark.parametrize(
    ("variables", "advice"),
    [({}, "install a build of torch with CUDA"), ({"CUDA_VISIBLE_DEVICES": ""}, "unset it")],
)
def test_a_card_that_the_backend_does_not_see_is_a_warning(tmp_path, variables, advice):
    (tmp_path / CARD).mkdir(parents=True)
    keras = WORKING.format(backend="torch", total=512)
    _, (verdict, found, hint) = looked_at(
        tmp_path, keras, TORCH.format(gpus=0), variables=variables
    )
    assert (verdict, found) == ("warning", "1 NVIDIA GPU, none of which torch can use")
    assert advice in hint


def test_a_backend_that_computes_wrongly_is_a_problem(tmp_path):
    keras = WORKING.format(backend="torch", total=511)
    (verdict, found, _), _ = looked_at(tmp_path, keras, TORCH.format(gpus=0))
    assert (verdict, "is wrong" in found) == ("problem", True)


def test_a_backend_that_fnet_does_not_run_on_is_a_problem(tmp_path):
    named = looked_at(tmp_path, "", variables={"KERAS_BACKEND": "theano"})
    assert named == [
        ("problem", "KERAS_BACKEND is 'theano'", "fnet runs on tensorflow, jax, torch")
    ]
