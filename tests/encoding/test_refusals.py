"""Jobs that cannot work are refused, and leave nothing behind."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import write_preset
from jobs import CONFIG, PAD, run

from fnet_cli.config import Settings
from fnet_cli.encoding.context import JobContext
from fnet_cli.encoding.job import encode_files
from fnet_cli.encoding.options import (
    EncodeOptions,
    OutputFormat,
    Truncate,
)
from fnet_cli.errors import InputDataError, IntegrityError, OutputError, UsageError


def left_behind(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - {"tokens.parquet"}


def test_a_bad_row_late_in_the_file_leaves_no_output(preset, rows, tmp_path):
    path = tmp_path / "tokens.parquet"
    pq.write_table(pa.table({"token_ids": [*rows, [999]]}), path)
    with pytest.raises(InputDataError, match="tokens.parquet: row 70: .* id 999"):
        run(preset, path, tmp_path / "out.parquet")
    assert left_behind(tmp_path) == set()


def test_an_existing_output_is_kept_unless_overwritten(preset, tokens, tmp_path):
    output = tmp_path / "out.parquet"
    output.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        run(preset, tokens, output)
    assert output.read_text() == "precious"
    _, table = run(preset, tokens, output, overwrite=True)
    assert table.num_rows == 70


def test_a_failed_overwrite_keeps_the_old_output(preset, tmp_path):
    path = tmp_path / "tokens.parquet"
    pq.write_table(pa.table({"token_ids": [[1], [999]]}), path)
    (tmp_path / "out.parquet").write_text("precious")
    with pytest.raises(InputDataError):
        run(preset, path, tmp_path / "out.parquet", overwrite=True)
    assert (tmp_path / "out.parquet").read_text() == "precious"


def test_an_output_through_a_link_replaces_the_file_it_points_to(preset, tokens, tmp_path):
    (tmp_path / "real").mkdir()
    target = tmp_path / "real" / "out.parquet"
    target.write_text("old")
    (tmp_path / "link.parquet").symlink_to(target)
    run(preset, tokens, tmp_path / "link.parquet", overwrite=True)
    assert (tmp_path / "link.parquet").is_symlink()
    assert pq.read_metadata(target).num_rows == 70


def test_a_nan_is_never_written_and_its_row_is_named(tmp_path, tokens):
    from builders import random_tensors

    tensors = random_tensors(CONFIG)
    tensors["token_embedding/embeddings"][59] = np.nan
    directory = tmp_path / "nan"
    directory.mkdir()
    write_preset(directory, CONFIG, tensors)
    path = tmp_path / "nan.parquet"
    pq.write_table(pa.table({"token_ids": [[1, 2], [3], [4, 59]]}), path)
    with pytest.raises(IntegrityError, match="nan.parquet: row 2: .* NaN or infinite"):
        run(directory, path, tmp_path / "out.parquet")
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sequence_length": 49}, UsageError, "--sequence-length 49 is not in 1..48"),
        ({"pad_id": 60}, UsageError, "--pad-id 60 is not in 0..59"),
        ({"pad_id": None}, UsageError, "must be padded"),
        ({"batch_size": 0}, UsageError, "--batch-size"),
        ({"device": "tpu"}, UsageError, "there is no device 'tpu'"),
        ({"device": "gpu:99"}, UsageError, "gpu:99 was asked for"),
        ({"columns": ("nope",)}, InputDataError, "there is no column nope"),
        ({"token_column": "nope"}, InputDataError, "there is no column nope"),
        ({"token_column": "score"}, InputDataError, "column score is double, not lists"),
        ({"segment_column": "nope"}, InputDataError, "there is no column nope"),
        ({"truncate": Truncate.ERROR}, InputDataError, "over the sequence length of 48"),
        ({"output": "o.xyz"}, UsageError, "o.xyz: the suffix does not tell the format"),
        ({"output": "/dev/null", "format": OutputFormat.PARQUET}, OutputError, "not a regular"),
        ({"output": "-", "format": OutputFormat.PARQUET}, UsageError, "standard output"),
        ({"inputs": ()}, UsageError, "there is no input"),
        ({"inputs": ("-", "-")}, UsageError, "stands twice"),
    ],
)
def test_what_cannot_work_is_refused(preset, tokens, tmp_path, change, error, message):
    options = EncodeOptions(
        (str(tokens),), str(tmp_path / "out.parquet"), preset=str(preset), pad_id=PAD
    )
    with pytest.raises(error, match=message):
        encode_files(replace(options, **change), JobContext(Settings(), io.BytesIO(), io.BytesIO()))
    assert left_behind(tmp_path) == set()


def test_an_input_named_like_the_new_column_is_refused(preset, tmp_path):
    path = tmp_path / "clash.parquet"
    pq.write_table(pa.table({"token_ids": [[1]], "embedding": [1]}), path)
    with pytest.raises(InputDataError, match="there is a column embedding already"):
        run(preset, path, tmp_path / "out.parquet")


def test_the_output_cannot_be_an_input(preset, tokens):
    with pytest.raises(UsageError, match="is an input and the output"):
        run(preset, tokens, tokens, overwrite=True)
    assert pq.read_metadata(tokens).num_rows == 70


def test_a_disk_without_room_is_noticed_before_the_work(preset, tokens, tmp_path, monkeypatch):
    monkeypatch.setattr("fnet_cli.encoding.output.target.free_bytes", lambda path: 1000)
    with pytest.raises(OutputError, match=r"1\.0 kB free, the embeddings take 9\.0 kB"):
        run(preset, tokens, tmp_path / "out.parquet")


def test_a_pad_id_that_lacks_is_noticed_before_the_model_is_loaded(preset, tokens, tmp_path):
    def load(request):
        raise AssertionError("the model is loaded")

    context = JobContext(settings=Settings(), engine_loader=load)
    options = EncodeOptions((str(tokens),), str(tmp_path / "out.parquet"), preset=str(preset))
    with pytest.raises(UsageError, match="must be padded"):
        encode_files(options, context)
