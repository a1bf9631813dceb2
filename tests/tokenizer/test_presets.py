"""Tokenizers in preset directories, of any format."""

from __future__ import annotations

import json
import os

import pytest
from builders import add_vocabulary, write_preset
from vocabulary_kinds import tokenizer, trained

from fnet_cli import FNetTokenizer
from fnet_cli.config import Settings
from fnet_cli.constants import TOKENIZER_CONFIG_FILE, VOCABULARY_FILE
from fnet_cli.errors import OutputError, PresetError, PresetNotFoundError, UnsafePresetError
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.layouts.keras_config import tokenizer_document
from fnet_cli.presets.resolving import resolve_preset


@pytest.fixture
def preset(tmp_path):
    write_preset(tmp_path / "preset")
    tokenizer().save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def rewrite_config(directory, **settings):
    document = tokenizer_document()
    document["config"].update(settings)
    (directory / TOKENIZER_CONFIG_FILE).write_text(json.dumps(document))


def test_the_bundled_preset_has_a_tokenizer():
    made = FNetTokenizer.from_preset("f_net_mini_en")
    assert made.vocabulary_size() == 12_000
    assert made.detokenize(made("The quick brown fox.")) == "The quick brown fox."


def test_a_saved_tokenizer_loads_from_its_preset(preset):
    for loaded in (FNetTokenizer.from_preset(preset), FNetTokenizer.from_directory(preset)):
        assert loaded.proto == trained()
        assert loaded("the fox") == tokenizer()("the fox")


def test_a_resolved_preset_gives_its_tokenizer(preset):
    assert resolve_preset(str(preset), Settings()).tokenizer().special == tokenizer().special


def test_a_directory_with_a_tokenizer_and_no_model_will_do(tmp_path):
    tokenizer().save_to_preset(tmp_path / "new")
    assert FNetTokenizer.from_directory(tmp_path / "new").proto == trained()


def test_a_preset_in_transformers_format_has_its_tokenizer_too(preset, tmp_path):
    convert_preset(resolve_preset(str(preset), Settings()), tmp_path / "pt", "transformers")
    # There, this name is the tokenizers library's.
    (tmp_path / "pt" / TOKENIZER_CONFIG_FILE).write_text('{"version": "1.0"}')
    assert FNetTokenizer.from_preset(tmp_path / "pt").proto == trained()


def test_saving_replaces_the_tokenizer_and_nothing_else(preset):
    before = {path: path.read_bytes() for path in preset.rglob("*") if path.is_file()}
    tokenizer("byte pairs").save_to_preset(preset)
    after = {path: path.read_bytes() for path in preset.rglob("*") if path.is_file()}
    assert {path for path in after if after[path] != before.get(path)} == {preset / VOCABULARY_FILE}


def test_a_preprocessor_is_written_where_its_length_is_given(tmp_path):
    tokenizer().save_to_preset(tmp_path, sequence_length=40)
    document = json.loads((tmp_path / "preprocessor.json").read_text())
    assert document["config"]["sequence_length"] == 40
    assert document["config"]["tokenizer"]["registered_name"] == "keras_hub>FNetTokenizer"


def test_a_preset_without_a_tokenizer_says_so(tmp_path):
    write_preset(tmp_path)
    with pytest.raises(PresetError, match="has no tokenizer: there is no assets/tokenizer/"):
        FNetTokenizer.from_preset(tmp_path)


def test_a_vocabulary_of_another_model_is_refused_with_its_path(preset):
    add_vocabulary(preset, trained(control_symbols="[CLS],[SEP]"))
    with pytest.raises(PresetError, match=r"vocabulary\.spm: the vocabulary has no piece \[MASK\]"):
        FNetTokenizer.from_preset(preset)


def test_a_tokenizer_of_another_class_is_refused(preset):
    path = preset / TOKENIZER_CONFIG_FILE
    path.write_text(path.read_text().replace("FNetTokenizer", "BertTokenizer"))
    with pytest.raises(UnsafePresetError, match="BertTokenizer"):
        FNetTokenizer.from_preset(preset)


@pytest.mark.parametrize("setting", [{"add_bos": True}, {"add_eos": True}, {"sequence_length": 8}])
def test_a_tokenizer_that_would_give_other_ids_in_kerashub_is_refused(preset, setting):
    rewrite_config(preset, **setting)
    with pytest.raises(PresetError, match=f"{next(iter(setting))} is not supported"):
        FNetTokenizer.from_preset(preset)


def test_an_unknown_preset_is_refused_as_for_a_model():
    with pytest.raises(PresetNotFoundError, match="no preset named"):
        FNetTokenizer.from_preset("f_net_nowhere")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_an_output_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="cannot save the tokenizer"):
        tokenizer().save_to_preset(tmp_path / "new")


def test_a_file_in_the_place_of_a_directory_is_an_output_error(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(OutputError, match="cannot save the tokenizer"):
        tokenizer().save_to_preset(tmp_path / "taken")
