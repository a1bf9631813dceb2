"""Jobs run end to end, with the real model on small presets."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from jobs import CONFIG, PAD, run, vectors
from reference import fnet_forward

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.estimating import estimate
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import (
    EncodeOptions,
    OutputDtype,
    Padding,
    Pooling,
)
from fnet_cli.encoding.plan import make_plan
from fnet_cli.encoding.readers.jsonl import JsonlFile
from fnet_cli.errors import InputDataError

# --- The numbers ----------------------------------------------------------------------------


def expected_vector(preset: Path, row: list[int], width: int, pooling: Pooling) -> np.ndarray:
    """Return the float64 reference embedding of one row padded to `width`."""
    ids = np.full((1, width), PAD)
    ids[0, : len(row)] = row[:width]
    sequence, pooled = fnet_forward(preset_tensors(preset), CONFIG, ids, np.zeros_like(ids))
    real = sequence[0, : min(len(row), width)]
    return {
        Pooling.POOLED: lambda: pooled[0],
        Pooling.CLS: lambda: real[0],
        Pooling.MEAN: lambda: real.mean(0),
        Pooling.MAX: lambda: real.max(0),
        Pooling.TOKENS: lambda: real,
    }[pooling]()


def preset_tensors(preset: Path) -> dict[str, np.ndarray]:
    from fnet_cli.presets.layouts.keras_h5 import WeightReader

    with WeightReader(preset, CONFIG) as reader:
        return dict(reader.tensors())


@pytest.mark.parametrize("pooling", [p for p in Pooling if p is not Pooling.TOKENS])
def test_every_pooling_equals_the_float64_reference(preset, tokens, rows, tmp_path, pooling):
    _, table = run(preset, tokens, tmp_path / "out.parquet", pooling=pooling)
    wanted = [expected_vector(preset, row, 48, pooling) for row in rows]
    assert np.abs(vectors(table) - wanted).max() < 2e-5


def test_tokens_pooling_keeps_a_vector_for_each_real_token(preset, tokens, rows, tmp_path):
    report, table = run(preset, tokens, tmp_path / "out.parquet", pooling=Pooling.TOKENS)
    for made, row in zip(table["embedding"].to_pylist(), rows, strict=True):
        wanted = expected_vector(preset, row, 48, Pooling.TOKENS)
        assert np.shape(made) == wanted.shape
        assert np.abs(made - wanted).max() < 2e-5
    assert report.tokens == sum(min(len(row), 48) for row in rows)


@pytest.mark.parametrize("padding", Padding)
def test_a_rows_embedding_does_not_depend_on_neighbours_order_or_batch(
    preset, tokens, rows, tmp_path, padding
):
    _, table = run(preset, tokens, tmp_path / "all.parquet", padding=padding)
    order = np.random.default_rng(1).permutation(len(rows))
    shuffled = tmp_path / "shuffled.parquet"
    pq.write_table(pq.read_table(tokens).take(order), shuffled)
    _, other = run(preset, shuffled, tmp_path / "other.parquet", padding=padding, batch_size=5)
    assert np.abs(vectors(table)[order] - vectors(other)).max() <= 1e-5
    alone = tmp_path / "alone.parquet"
    pq.write_table(pq.read_table(tokens).slice(11, 1), alone)
    _, single = run(preset, alone, tmp_path / "single.parquet", padding=padding, batch_size=1)
    assert np.abs(vectors(table)[11] - vectors(single)[0]).max() <= 1e-5


def test_segment_ids_reach_the_model(preset, tmp_path):
    path = tmp_path / "pairs.parquet"
    pq.write_table(
        pa.table({"token_ids": [[1, 2, 4]] * 2, "segment_ids": [[0, 0, 0], [0, 1, 1]]}), path
    )
    _, table = run(preset, path, tmp_path / "out.parquet")
    first, second = vectors(table)
    assert np.abs(first - expected_vector(preset, [1, 2, 4], 48, Pooling.POOLED)).max() < 2e-5
    assert np.abs(first - second).max() > 1e-4


def test_normalised_vectors_have_length_1(preset, tokens, tmp_path):
    _, table = run(preset, tokens, tmp_path / "o.parquet", normalize=True, pooling=Pooling.MEAN)
    assert np.abs(np.linalg.norm(vectors(table), axis=1) - 1).max() < 1e-6


def test_float16_output_is_the_rounded_float32_output(preset, tokens, tmp_path):
    _, wide = run(preset, tokens, tmp_path / "wide.parquet")
    _, half = run(preset, tokens, tmp_path / "half.parquet", output_dtype=OutputDtype.FLOAT16)
    assert half.schema.field("embedding").type.value_type == pa.float16()
    assert (vectors(half) == vectors(wide).astype(np.float16)).all()


# --- The other columns, and the record --------------------------------------------------------


def test_other_columns_pass_through_with_types_nulls_and_order(preset, tokens, tmp_path):
    _, table = run(preset, tokens, tmp_path / "out.parquet")
    kept = pq.read_table(tokens).select(["id", "score", "kind"])
    assert table.select(["id", "score", "kind"]).cast(kept.schema).equals(kept)
    assert table.schema.field("kind").type == kept.schema.field("kind").type
    assert table.schema.names == ["id", "score", "kind", "embedding"]
    assert table.schema.metadata[b"made"] == b"by hand"


@pytest.mark.parametrize(
    ("columns", "names"),
    [(("score", "id"), ["score", "id", "embedding"]), ((), ["embedding"]),
     (("token_ids",), ["token_ids", "embedding"])],
)  # fmt: skip
def test_columns_chooses_what_is_kept(preset, tokens, tmp_path, columns, names):
    _, table = run(preset, tokens, tmp_path / "out.parquet", columns=columns)
    assert table.schema.names == names


def test_the_embedding_is_a_fixed_size_list_and_says_how_it_was_made(preset, tokens, tmp_path):
    report, table = run(preset, tokens, tmp_path / "out.parquet", padding=Padding.BUCKET)
    kind = table.schema.field("embedding").type
    assert (kind.list_size, kind.value_type) == (32, pa.float32())
    record = json.loads(table.schema.metadata[b"fnet"])
    assert record["weights_sha256"] == report.weights_sha256
    assert record["preset"] == str(preset)
    assert (record["pooling"], record["padding"], record["sequence_length"]) == (
        "pooled", "bucket", 48,
    )  # fmt: skip


def test_truncation_is_counted(preset, tokens, rows, tmp_path):
    report, _ = run(preset, tokens, tmp_path / "out.parquet", sequence_length=20)
    longer = [len(row) - 20 for row in rows if len(row) > 20]
    assert (report.rows_truncated, report.tokens_lost) == (len(longer), sum(longer))
    assert report.rows_in == report.rows_out + report.rows_rejected == len(rows)


def test_progress_is_told_and_ends_with_all_rows(preset, tokens, rows, tmp_path):
    seen = []
    run(preset, tokens, tmp_path / "out.parquet", on_progress=seen.append)
    assert [progress.rows for progress in seen] == sorted(progress.rows for progress in seen)
    assert (seen[-1].rows, seen[-1].total_rows) == (len(rows), len(rows))


# --- Inputs and outputs -----------------------------------------------------------------------


def test_json_lines_give_the_embeddings_of_the_same_parquet(preset, tokens, tmp_path):
    path = tmp_path / "tokens.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in pq.read_table(tokens).to_pylist()))
    _, from_json = run(preset, path, tmp_path / "a.parquet")
    _, from_parquet = run(preset, tokens, tmp_path / "b.parquet")
    assert vectors(from_json) == pytest.approx(vectors(from_parquet), abs=1e-6)
    assert from_json["id"].equals(from_parquet["id"])


def test_standard_input_and_output_carry_json_lines(preset, tokens, tmp_path):
    lines = "".join(json.dumps(row) + "\n" for row in pq.read_table(tokens).to_pylist()).encode()
    stdout = io.BytesIO()
    report, _ = run(preset, "-", "-", stdin=io.BytesIO(lines), stdout=stdout)
    made = [json.loads(line) for line in stdout.getvalue().splitlines()]
    _, table = run(preset, tokens, tmp_path / "out.parquet")
    assert report.rows_in == len(made) == table.num_rows
    assert np.abs(np.array([row["embedding"] for row in made]) - vectors(table)).max() < 1e-6
    assert [row["id"] for row in made] == table["id"].to_pylist()


def test_a_json_lines_file_can_be_written(preset, tokens, tmp_path):
    options = EncodeOptions(
        (str(tokens),), str(tmp_path / "out.jsonl"), preset=str(preset), pad_id=PAD,
        pooling=Pooling.TOKENS,
    )  # fmt: skip
    encode_files(options, JobContext(settings=Settings()))
    source = JsonlFile(str(tmp_path / "out.jsonl"))
    assert source.rows == 70
    first = next(source.batches(["embedding"], 1)).batch.to_pylist()[0]["embedding"]
    assert np.shape(first)[1] == 32


def test_rows_that_trickle_in_become_one_row_group(preset, tmp_path):
    class Trickle(io.BytesIO):
        def read1(self, size=-1):
            return self.readline()

    lines = b"".join(b'{"token_ids": [%d]}\n' % (i % 60) for i in range(200))
    report, table = run(preset, "-", tmp_path / "out.parquet", stdin=Trickle(lines))
    assert report.rows_out == table.num_rows == 200
    assert pq.read_metadata(tmp_path / "out.parquet").num_row_groups == 1


def test_several_files_are_one_stream_of_rows(preset, tokens, tmp_path):
    _, one = run(preset, tokens, tmp_path / "one.parquet")
    _, two = run(preset, [tokens, tokens], tmp_path / "two.parquet", batch_size=7)
    assert np.abs(vectors(two) - np.concatenate([vectors(one)] * 2)).max() <= 1e-5


def test_files_that_disagree_on_a_columns_type_are_refused(preset, tokens, tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"token_ids": [[1]], "id": [7]}), other)
    with pytest.raises(InputDataError, match="column id is int64, in .* it is string"):
        run(preset, [tokens, other], tmp_path / "out.parquet", columns=("id",))


def test_files_that_lack_a_column_or_bring_one_are_refused(preset, tokens, tmp_path):
    other = tmp_path / "other.parquet"
    pq.write_table(pq.read_table(tokens).drop_columns("score"), other)
    with pytest.raises(InputDataError, match="other.parquet: there is no column score"):
        run(preset, [tokens, other], tmp_path / "out.parquet")
    with pytest.raises(InputDataError, match="column score is not in .*other.parquet"):
        run(preset, [other, tokens], tmp_path / "out.parquet")


def test_the_limit_counts_over_all_files(preset, tokens, tmp_path):
    report, table = run(preset, [tokens, tokens], tmp_path / "out.parquet", limit=75)
    assert report.rows_in == report.rows_out == table.num_rows == 75


@pytest.mark.parametrize("name", ["empty.parquet", "empty.jsonl"])
def test_a_file_without_rows_gives_an_output_without_rows(preset, tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"token_ids": pa.array([], pa.list_(pa.int32()))}), path)
    else:
        path.write_text("")
    report, table = run(preset, path, tmp_path / "out.parquet")
    assert report.rows_out == table.num_rows == 0
    assert table.schema.field("embedding").type.list_size == 32


# --- Dry runs ---------------------------------------------------------------------------------


def test_an_estimate_measures_a_sample_and_writes_nothing(preset, tokens, tmp_path):
    options = EncodeOptions(
        (str(tokens),), str(tmp_path / "out.parquet"), preset=str(preset), pad_id=PAD
    )
    plan = make_plan(options, Settings(), io.BytesIO())
    sample = estimate(plan, JobContext(settings=Settings()))
    assert plan.expected_bytes == 70 * 32 * 4
    assert sample.rows_per_second > 0
    assert sample.encode_seconds == pytest.approx(70 / sample.rows_per_second)
    assert [path.name for path in tmp_path.iterdir()] == ["tokens.parquet"]
