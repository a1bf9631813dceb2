"""Which devices are asked for, and which are there."""

from __future__ import annotations

import pytest

from fnet_cli.encoding.engine import devices
from fnet_cli.encoding.engine.devices import WantedDevice, device_names, parse_device, usable_cores
from fnet_cli.errors import UsageError


@pytest.fixture
def gpus(monkeypatch):
    """Let TensorFlow see so many GPUs."""

    def see(count: int) -> None:
        monkeypatch.setitem(devices._GPU_COUNTS, "tensorflow", lambda: count)

    return see


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("auto", WantedDevice("auto")),
        ("cpu", WantedDevice("cpu")),
        ("gpu", WantedDevice("gpu")),
        ("gpu:3", WantedDevice("gpu", (3,))),
        ("gpu:2,0", WantedDevice("gpu", (2, 0))),
    ],
)
def test_a_device_is_read(text, wanted):
    assert parse_device(text) == wanted


@pytest.mark.parametrize(
    "text", ["", "tpu", "gpu:", "gpu:x", "gpu:-1", "gpu:1,", "gpu:1,1", "cpu:0", "GPU", "gpu:²"]
)
def test_what_is_no_device_is_refused_with_what_is(text):
    with pytest.raises(UsageError) as caught:
        parse_device(text)
    assert "gpu:0,1" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "count", "names"),
    [
        ("cpu", 2, ["cpu"]),
        ("auto", 0, ["cpu"]),
        ("auto", 2, ["gpu:0", "gpu:1"]),
        ("gpu", 2, ["gpu:0", "gpu:1"]),
        ("gpu:1", 2, ["gpu:1"]),
        ("gpu:2,0", 3, ["gpu:2", "gpu:0"]),
    ],
)
def test_the_devices_of_a_choice(gpus, text, count, names):
    gpus(count)
    assert device_names("tensorflow", parse_device(text)) == names


@pytest.mark.parametrize(
    ("text", "count"), [("gpu", 0), ("gpu:0", 0), ("gpu:2", 2), ("gpu:0,5", 1)]
)
def test_a_gpu_that_is_not_there_is_named(gpus, text, count):
    gpus(count)
    with pytest.raises(UsageError, match="gpu:[025] was asked for") as caught:
        device_names("tensorflow", parse_device(text))
    assert "--device cpu" in caught.value.hint


def test_there_is_a_core_to_use():
    assert usable_cores() >= 1
