"""A job is cut into fragments that have each row once, and read what the whole would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_cases import CASES
from texts import write_text_preset

from fnet_cli.config import Settings
from fnet_cli.encoding.fragments import cut, part_of, part_rows
from fnet_cli.encoding.options import EncodeOptions
from fnet_cli.encoding.plan import JobPlan, make_plan
from fnet_cli.encoding.windows import windows


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


def plan_of(preset: Path, sources: Path, case: str, part_rows: int | None) -> JobPlan:
    names, how = CASES[case]
    names = names if isinstance(names, list) else [names]
    inputs = tuple(str(sources / name) for name in names)
    output = str(sources / "out") + "/"
    options = EncodeOptions(inputs, output, preset=str(preset), part_rows=part_rows, **how)
    return make_plan(options, Settings(), None)


def rows_of(plan: JobPlan) -> list[tuple[object, ...]]:
    """Return each row that is encoded, and where it stands."""
    return [
        (window.where(index), *row.values())
        for window in windows(plan)
        for index, row in enumerate(window.batch.to_pylist())
    ]


@settings(max_examples=15, deadline=None)
@given(case=st.sampled_from(sorted(CASES)), most=st.integers(1, 80))
def test_the_fragments_of_any_job_have_its_rows_each_once_and_in_order(preset, sources, case, most):
    plan = plan_of(preset, sources, case, most)
    read = [rows_of(part_of(plan, fragment)) for fragment in cut(plan)]
    assert [row for rows in read for row in rows] == rows_of(plan)


@given(most=st.integers(1, 200))
@settings(deadline=None)
def test_no_fragment_is_longer_than_was_asked_for(preset, sources, most):
    fragments = cut(plan_of(preset, sources, "several", most))
    assert max(fragment.stop - fragment.first for fragment in fragments) <= most
    assert [fragment.number for fragment in fragments] == list(range(len(fragments)))


def test_a_fragment_ends_where_a_row_group_does(preset, sources):
    fragments = cut(plan_of(preset, sources, "parquet", 30))  # of 13 rows each
    assert [(part.first, part.stop) for part in fragments] == [(0, 26), (26, 52), (52, 60)]


def test_a_row_group_that_is_much_longer_is_cut(preset, sources):
    fragments = cut(plan_of(preset, sources, "parquet", 5))
    assert fragments[2] == replace(fragments[2], first=10, stop=13)


def test_inputs_without_rows_are_one_fragment(preset, sources):
    (sources / "none.jsonl").touch()
    options = EncodeOptions(
        (str(sources / "none.jsonl"),), str(sources / "out") + "/", preset=str(preset)
    )
    plan = make_plan(options, Settings(), None)
    assert [(part.first, part.stop) for part in cut(plan)] == [(0, 0)]
    assert rows_of(part_of(plan, cut(plan)[0])) == []


def test_a_small_job_has_fewer_rows_a_part_than_a_part_may_have(preset, tmp_path):
    rows = 1_000_000
    ids = pa.array([[5]], pa.list_(pa.int32())).take(pa.array([0] * rows))
    pq.write_table(pa.table({"token_ids": ids}), tmp_path / "many.parquet")
    options = EncodeOptions(
        (str(tmp_path / "many.parquet"),), f"{tmp_path}/out/", preset=str(preset)
    )
    plan = make_plan(options, Settings(), None)
    assert plan.window_rows < part_rows(plan) == rows // 16
    assert len(cut(plan)) == 16


def test_how_a_part_is_computed_is_decided_by_the_whole(preset, sources, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.plan.COMPILING_PAYS_OPERATIONS", {"max": 1, "bucket": 1})
    plan = plan_of(preset, sources, "parquet", 1)
    part = part_of(plan, cut(plan)[3])
    assert part.is_worth_compiling == plan.is_worth_compiling
    assert (part.operations, part.typical_width) == (plan.operations, plan.typical_width)
