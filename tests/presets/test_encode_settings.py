"""What a preset recommends to encode is read strictly, shown, and goes where the preset goes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from builders import TINY, write_preset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from presets.machines import HANDLES, exported, local, machine, write_source

from fnet_cli.config import Settings
from fnet_cli.constants import ENCODE_SETTINGS_FILE
from fnet_cli.errors import ExitCode, IntegrityError, PresetError
from fnet_cli.presets.archive import export_preset, import_archive, read_archive
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.encode_settings import (
    EncodeSettings,
    Padding,
    Pooling,
    read_encode_settings,
    write_encode_settings,
)
from fnet_cli.presets.handles import parse_handle
from fnet_cli.presets.inspecting import inspect_preset
from fnet_cli.presets.resolving import resolve_preset

EVERY = {"pooling": "mean", "normalize": True, "sequence_length": 24, "padding": "bucket"}
RECOMMENDED = EncodeSettings(Pooling.MEAN, True, 24, Padding.BUCKET)


def write(directory: Path, content: Any) -> None:
    """Write the file: bytes and text as they are, anything else as JSON."""
    data = content if isinstance(content, (str, bytes)) else json.dumps(content)
    (directory / ENCODE_SETTINGS_FILE).write_bytes(
        data if isinstance(data, bytes) else data.encode()
    )


def read(directory: Path, content: Any) -> EncodeSettings:
    write(directory, content)
    return read_encode_settings(directory, TINY)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A preset with recommendations."""
    directory = write_source(tmp_path_factory.mktemp("source") / "preset")
    write(directory, EVERY)
    return directory


# --- Read and written -------------------------------------------------------------------------


def test_every_key_is_read(tmp_path):
    assert read(tmp_path, EVERY) == RECOMMENDED


@pytest.mark.parametrize("key", EVERY)
def test_every_key_may_stand_alone(tmp_path, key):
    assert read(tmp_path, {key: EVERY[key]}).to_dict() == {key: EVERY[key]}


@pytest.mark.parametrize("length", [1, TINY.max_sequence_length])
def test_the_ends_of_the_range_are_lengths(tmp_path, length):
    assert read(tmp_path, {"sequence_length": length}).sequence_length == length


def test_what_recommends_nothing_is_no_error(tmp_path):
    assert read_encode_settings(tmp_path, TINY) == read(tmp_path, {}) == EncodeSettings()


def test_the_writer_and_the_reader_agree(tmp_path):
    write_encode_settings(tmp_path, RECOMMENDED)
    assert read_encode_settings(tmp_path, TINY) == RECOMMENDED


def test_no_file_is_written_where_nothing_is_recommended(tmp_path):
    write_encode_settings(tmp_path, EncodeSettings())
    assert list(tmp_path.iterdir()) == []


# --- Refused ----------------------------------------------------------------------------------

POOLINGS = "pooled, cls, mean, max, tokens"
HOSTILE = {
    "an unknown key": ({"prefix": "query: "}, "unknown key 'prefix', allowed: pooling, normalize"),
    "a key in capitals": ({"Pooling": "mean"}, "unknown key 'Pooling'"),
    "an empty key": ({"": 1}, "unknown key ''"),
    "a key of a million letters": ({"A" * 10**6: 1}, "unknown key 'AAA"),
    "a key with escapes": ({"\x1b[2J\nfnet": 1}, r"unknown key '\\x1b\[2J\\nfnet'"),
    "an unknown pooling": ({"pooling": "sum"}, f"pooling is 'sum', allowed: {POOLINGS}"),
    "a pooling in capitals": ({"pooling": "MEAN"}, f"allowed: {POOLINGS}"),
    "a pooling that is a list": ({"pooling": ["mean"]}, f"allowed: {POOLINGS}"),
    "a pooling that is an object": ({"pooling": {"class_name": "Lambda"}}, "allowed: pooled"),
    "a pooling that is null": ({"pooling": None}, "pooling is None, allowed: pooled"),
    "a lone surrogate": (b'{"pooling": "\\ud800"}', r"pooling is '\\ud800', allowed: pooled"),
    "a number for yes": ({"normalize": 1}, "normalize is 1, allowed: true, false"),
    "a word for no": ({"normalize": "false"}, "normalize is 'false', allowed: true, false"),
    "a normalize that is null": ({"normalize": None}, "allowed: true, false"),
    "no tokens": ({"sequence_length": 0}, r"sequence_length is 0, allowed: 1\.\.40"),
    "fewer than none": ({"sequence_length": -1}, r"is -1, allowed: 1\.\.40"),
    "more than the model has": ({"sequence_length": 41}, r"is 41, allowed: 1\.\.40"),
    "a boolean length": ({"sequence_length": True}, r"is True, allowed: 1\.\.40"),
    "a fractional length": ({"sequence_length": 8.0}, r"is 8\.0, allowed: 1\.\.40"),
    "a length in words": ({"sequence_length": "8"}, r"is '8', allowed: 1\.\.40"),
    "a length in exponents": ('{"sequence_length": 1e999}', r"is inf, allowed: 1\.\.40"),
    "a length of 5000 digits": (f'{{"sequence_length": 1{"0" * 5000}}}', "not valid JSON"),
    "an unknown padding": ({"padding": "longest"}, "'longest', allowed: max, bucket, none"),
    "a good key beside a bad one": ({**EVERY, "dtype": "float16"}, "unknown key 'dtype'"),
    "a key that stands twice": ('{"pooling": "cls", "pooling": "max"}', "stands twice"),
    "NaN": ('{"sequence_length": NaN}', "NaN is not a JSON number"),
    "a list": ("[]", "holds no JSON object"),
    "no JSON": ("pooling: mean", "not valid JSON"),
    "no bytes": ("", "not valid JSON"),
    "deep nesting": ('{"a":' * 100_000, "not valid JSON"),
    "another encoding": ('{"pooling": "é"}'.encode("latin-1"), "not valid JSON"),
    "more than 4 MiB": (" " * 5_000_000, "larger than"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_with_this_is_refused_in_one_line(tmp_path, case):
    content, message = HOSTILE[case]
    with pytest.raises(PresetError, match=message) as caught:
        read(tmp_path, content)
    assert caught.value.exit_code == ExitCode.PRESET
    assert str(tmp_path / ENCODE_SETTINGS_FILE) in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_a_bad_key_or_value_comes_with_a_hint(tmp_path):
    for content in ({"nope": 1}, {"pooling": "nope"}):
        with pytest.raises(PresetError) as caught:
            read(tmp_path, content)
        assert "correct the file, or remove it" in caught.value.hint


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero"),
     lambda path: path.symlink_to("nowhere"), lambda path: path.symlink_to(path.name)],
    ids=["FIFO", "directory", "device", "dangling link", "link to itself"],
)  # fmt: skip
def test_what_is_no_file_is_refused_and_not_passed_over(tmp_path, make):
    make(tmp_path / ENCODE_SETTINGS_FILE)
    with pytest.raises(PresetError, match=ENCODE_SETTINGS_FILE):
        read_encode_settings(tmp_path, TINY)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([*Pooling, *Padding]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)  # fmt: skip


# The first text that Hypothesis draws on a machine takes it a second.
@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.dictionaries(st.sampled_from([*EVERY, "dtype", ""]), json_values, max_size=4))
def test_any_object_is_read_as_it_stands_or_refused_in_one_line(tmp_path, document):
    try:
        found = read(tmp_path, document)
    except PresetError as error:
        assert "\n" not in str(error)
    else:
        assert found.to_dict() == document


# --- With the preset --------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["keras", "transformers"])
def test_a_conversion_keeps_it(tmp_path, source, to):
    convert_preset(local(source), tmp_path / "new", to)
    assert local(tmp_path / "new").encode_settings() == RECOMMENDED


def test_a_conversion_invents_none(tmp_path):
    write_preset(tmp_path / "plain")
    convert_preset(local(tmp_path / "plain"), tmp_path / "new", "transformers")
    assert not (tmp_path / "new" / ENCODE_SETTINGS_FILE).exists()


@pytest.mark.parametrize("text", HANDLES)
def test_an_archive_of_a_pulled_preset_carries_it(tmp_path, source, text):
    archive = exported(text, source, tmp_path)
    here = machine(tmp_path / "here")
    import_archive(archive, here)
    found = resolve_preset(str(parse_handle(text).unpinned), here)
    assert found.encode_settings() == RECOMMENDED
    assert ENCODE_SETTINGS_FILE in found.cached.manifest.by_name


@pytest.mark.parametrize("to", ["keras", "transformers"])
def test_an_archive_of_a_directory_carries_it(tmp_path, source, to):
    convert_preset(local(source), tmp_path / "one", to)
    export_preset(local(tmp_path / "one"), tmp_path / "one.tar")
    assert ENCODE_SETTINGS_FILE in read_archive(tmp_path / "one.tar").manifest.by_name
    import_archive(tmp_path / "one.tar", Settings(), directory=tmp_path / "two")
    assert local(tmp_path / "two").encode_settings() == RECOMMENDED


def test_a_preset_with_a_bad_one_is_not_exported(tmp_path):
    write_preset(tmp_path / "bad")
    write(tmp_path / "bad", {"pooling": "sum"})
    with pytest.raises(PresetError, match="pooling is 'sum'"):
        export_preset(local(tmp_path / "bad"), tmp_path / "bad.tar")
    assert not (tmp_path / "bad.tar").exists()


def test_a_recorded_one_that_is_lost_is_noticed(tmp_path, source):
    here = machine(tmp_path / "here")
    archive = exported(HANDLES[0], source, tmp_path)
    directory = import_archive(archive, here)
    (directory / ENCODE_SETTINGS_FILE).unlink()
    with pytest.raises(IntegrityError, match=f"{ENCODE_SETTINGS_FILE} is missing"):
        resolve_preset(HANDLES[0], here)


# --- Shown ------------------------------------------------------------------------------------


def test_inspecting_shows_it_among_the_files_and_by_its_keys(source):
    found = inspect_preset(str(source), Settings())
    assert (found.encode_settings, found.refused) == (EVERY, [])
    assert ENCODE_SETTINGS_FILE in found.files


def test_inspecting_a_preset_without_it_shows_none(tmp_path):
    write_preset(tmp_path)
    assert inspect_preset(str(tmp_path), Settings()).encode_settings == {}
    assert inspect_preset("f_net_large_en", machine(tmp_path)).encode_settings == {}


def test_inspecting_a_bad_one_says_so_once_and_shows_the_rest(tmp_path):
    write_preset(tmp_path)
    write(tmp_path, {"padding": "longest"})
    found = inspect_preset(str(tmp_path), Settings())
    assert (found.state, found.encode_settings, found.config) == ("invalid", {}, TINY.to_dict())
    (line,) = found.refused
    assert "padding is 'longest', allowed: max, bucket, none" in line
    assert isinstance(found.problem, PresetError)
