"""What holds for a job: its options, else what the preset recommends, else the defaults."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from builders import write_preset
from jobs import CONFIG, PAD, run, vectors

from fnet_cli.config import Settings
from fnet_cli.constants import ENCODE_SETTINGS_FILE
from fnet_cli.encoding.options import (
    EncodeOptions,
    Padding,
    Pooling,
    SettingOrigin,
    settings_in_force,
)
from fnet_cli.encoding.plan import JobPlan, make_plan
from fnet_cli.errors import PresetError, UsageError
from fnet_cli.presets.encode_settings import EncodeSettings

NAMES = ("pooling", "normalize", "padding", "sequence_length")
DEFAULTS = {"pooling": "pooled", "normalize": False, "padding": "max", "sequence_length": 48}
RECOMMENDED = {"pooling": "mean", "normalize": True, "padding": "bucket", "sequence_length": 20}
ASKED = {
    "pooling": Pooling.CLS, "normalize": False, "padding": Padding.NONE, "sequence_length": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def recommending(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("recommending")
    write_preset(directory, CONFIG)
    (directory / ENCODE_SETTINGS_FILE).write_text(json.dumps(RECOMMENDED))
    return directory


def plan_of(preset: Path, tokens: Path, **options) -> JobPlan:
    output = str(tokens.with_name("out.parquet"))
    made = EncodeOptions((str(tokens),), output, preset=str(preset), pad_id=PAD, **options)
    return make_plan(made, Settings(), io.BytesIO())


def in_force(plan: JobPlan) -> dict:
    return {name: getattr(plan.in_force, name) for name in NAMES}


def test_without_a_recommendation_the_defaults_hold(preset, tokens):
    plan = plan_of(preset, tokens)
    assert in_force(plan) == DEFAULTS
    assert plan.in_force.origins == dict.fromkeys(NAMES, SettingOrigin.DEFAULT)


def test_a_recommendation_holds_in_every_part_of_the_plan(recommending, tokens):
    plan = plan_of(recommending, tokens)
    assert in_force(plan) == RECOMMENDED
    assert plan.in_force.origins == dict.fromkeys(NAMES, SettingOrigin.PRESET)
    assert (plan.shape.padding, plan.shape.sequence_length) == (Padding.BUCKET, 20)
    assert json.loads(plan.target.schema.metadata[b"fnet"]).items() >= RECOMMENDED.items()


def test_the_options_win_over_a_recommendation(recommending, tokens):
    plan = plan_of(recommending, tokens, **ASKED)
    assert in_force(plan) == ASKED
    assert plan.in_force.origins == dict.fromkeys(NAMES, SettingOrigin.FLAG)


def test_what_a_file_pins_is_told_from_a_flag():
    options = EncodeOptions((), "", **ASKED, pinned=("padding",))
    origins = settings_in_force(options, EncodeSettings(), CONFIG).origins
    assert (origins["padding"], origins["pooling"]) == (SettingOrigin.FILE, SettingOrigin.FLAG)


@pytest.mark.parametrize("name", NAMES)
def test_each_setting_is_chosen_on_its_own(name):
    options = EncodeOptions((), "", **{name: ASKED[name]})
    recommended = EncodeSettings(
        **{other: value for other, value in ASKED.items() if other == "pooling"}
    )
    found = settings_in_force(options, recommended, CONFIG)
    for other in NAMES:
        from_preset = SettingOrigin.PRESET if other == "pooling" else SettingOrigin.DEFAULT
        assert found.origins[other] is (SettingOrigin.FLAG if other == name else from_preset)
        said = other in (name, "pooling")
        assert getattr(found, other) == (ASKED if said else DEFAULTS)[other]


def test_a_recommendation_gives_the_embeddings_of_the_same_flags(
    preset, recommending, tokens, tmp_path
):
    report, ours = run(recommending, tokens, tmp_path / "ours.parquet")
    flags = {"pooling": Pooling.MEAN, "normalize": True, "padding": Padding.BUCKET}
    _, theirs = run(preset, tokens, tmp_path / "theirs.parquet", sequence_length=20, **flags)
    assert np.array_equal(vectors(ours), vectors(theirs))
    assert report.settings.items() >= RECOMMENDED.items()
    assert report.rows_truncated > 0


def test_pooling_of_every_token_can_be_recommended(tmp_path, tokens):
    write_preset(tmp_path / "tokens", CONFIG)
    (tmp_path / "tokens" / ENCODE_SETTINGS_FILE).write_text('{"pooling": "tokens"}')
    report, table = run(tmp_path / "tokens", tokens, tmp_path / "out.parquet")
    assert sum(map(len, table["embedding"].to_pylist())) == report.tokens


def test_a_length_of_the_options_is_held_against_the_model(recommending, tokens):
    with pytest.raises(UsageError, match="--sequence-length 49 is not in 1..48"):
        plan_of(recommending, tokens, sequence_length=49)


def test_a_bad_recommendation_is_noticed_even_where_the_options_override_it(tmp_path, tokens):
    write_preset(tmp_path / "bad", CONFIG)
    (tmp_path / "bad" / ENCODE_SETTINGS_FILE).write_text('{"sequence_length": 49}')
    with pytest.raises(PresetError, match=r"sequence_length is 49, allowed: 1\.\.48"):
        plan_of(tmp_path / "bad", tokens, **ASKED)
