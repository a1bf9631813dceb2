"""config.json is read as data: known keys, known classes, bounded numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders import TINY, write_config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fnet_cli.errors import ExitCode, PresetError, UnsafePresetError
from fnet_cli.presets.layouts import layout_of
from fnet_cli.presets.layouts.keras_config import backbone_document


def document(**changes) -> dict:
    """Return a valid config.json whose `config` has these keys replaced."""
    whole = backbone_document(TINY, "float32", "f_net_backbone")
    return {**whole, "config": {**whole["config"], **changes}}


def read(directory: Path, content: object):
    path = directory / "config.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_path(path)


def read_path(path: Path):
    layout, found = layout_of(path)
    return layout.read_config(path, found)


def test_what_kerashub_writes_is_read(tmp_path):
    assert read(tmp_path, document()) == (TINY, "float32")


def test_what_kerasnlp_wrote_is_read(tmp_path):
    old = {
        **document(dtype="bfloat16"),
        "module": "keras_nlp.src.models.f_net.f_net_backbone",
        "registered_name": "keras_nlp>FNetBackbone",
        "assets": ["assets/tokenizer/vocabulary.spm"],
        "weights": "model.weights.h5",
    }
    assert read(tmp_path, old) == (TINY, "bfloat16")


def test_a_config_without_a_dtype_is_float32(tmp_path):
    content = document()
    del content["config"]["dtype"]
    assert read(tmp_path, content)[1] == "float32"


MAP_POLICY = {"module": "keras", "class_name": "DTypePolicyMap", "config": {"name": "float32"}}
EVIL_POLICY = {"module": "os", "class_name": "DTypePolicy", "config": {"name": "float32"}}
HOSTILE = {
    "another class": ({**document(), "registered_name": "keras>Lambda"}, UnsafePresetError, "Lam"),
    "no class": ({**document(), "registered_name": None}, UnsafePresetError, "describes None"),
    "a list for a class": ({**document(), "registered_name": [1]}, UnsafePresetError, "describes"),
    "no config": ({**document(), "config": None}, PresetError, "no config object"),
    "an unknown setting": (document(activation="relu"), PresetError, "unknown setting 'activat"),
    "NaN": (json.dumps(document(dropout=float("nan"))), PresetError, "NaN is not a JSON number"),
    "Infinity": (json.dumps(document(hidden_dim=float("inf"))), PresetError, "Infinity is not"),
    "a negative size": (document(hidden_dim=-1), PresetError, "hidden_dim must be between"),
    "a huge size": (document(vocabulary_size=2**62), PresetError, "vocabulary_size must be betw"),
    "a bool for a size": (document(num_layers=True), PresetError, "num_layers must be an integer"),
    "text for a size": (document(num_layers="2"), PresetError, "num_layers must be an integer"),
    "an object for a size": (
        document(num_layers={"class_name": "x"}), PresetError, "num_layers must be an integer",
    ),
    "too many parameters": (
        document(hidden_dim=65536, intermediate_dim=262144, num_layers=512),
        UnsafePresetError, "over the limit",
    ),
    "another policy class": (document(dtype=MAP_POLICY), UnsafePresetError, "dtype is a"),
    "a policy of another module": (document(dtype=EVIL_POLICY), UnsafePresetError, "dtype is a"),
    "an unknown policy": (document(dtype="int8"), PresetError, "dtype 'int8' is not supported"),
    "a list for a policy": (document(dtype=["float32"]), PresetError, "is not supported"),
    "a duplicate key": ('{"config": 1, "config": 2}', PresetError, "a key stands twice"),
    "no object": ("[1, 2]", PresetError, "holds no JSON object"),
    "no JSON": ("{", PresetError, "not valid JSON"),
    "deep nesting": ("[" * 100_000, PresetError, "not valid JSON"),
    "another encoding": ('{"a": "é"}'.encode("latin-1"), PresetError, "not valid JSON"),
    "more than 4 MiB": (" " * 5_000_000, PresetError, "larger than"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_config_with_this_is_refused(tmp_path, case):
    content, error, message = HOSTILE[case]
    with pytest.raises(error, match=message) as caught:
        read(tmp_path, content)
    assert caught.value.exit_code == ExitCode.PRESET
    assert str(tmp_path / "config.json") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("name", sorted(TINY.to_dict()))
def test_every_size_must_be_there(tmp_path, name):
    content = document()
    del content["config"][name]
    with pytest.raises(PresetError, match=f"lacks {name}"):
        read(tmp_path, content)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([*TINY.to_dict(), "dtype", "name"]), json_values)
def test_any_value_is_read_or_refused_in_one_line(tmp_path, name, value):
    try:
        config, dtype = read(tmp_path, document(**{name: value}))
    except PresetError as error:
        assert "\n" not in str(error)
    else:
        assert config.to_dict().keys() == TINY.to_dict().keys()
        assert isinstance(dtype, str)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(PresetError, match=r"config\.json: No such file"):
        read_path(tmp_path / "config.json")


def test_the_writer_and_the_reader_agree(tmp_path):
    write_config(tmp_path, TINY, "mixed_bfloat16")
    assert read_path(tmp_path / "config.json") == (TINY, "mixed_bfloat16")
