"""An encoder in memory gives what a job gives of files, whatever holds the rows."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import add_vocabulary, vocabulary, write_preset
from jobs import CONFIG, run, vectors

from fnet_cli import Encoder
from fnet_cli.encoding.options import Padding, Pooling, TextOptions
from fnet_cli.encoding.verifying import verify_output
from fnet_cli.errors import InputDataError, PresetNotFoundError, UsageError

TEXTS = ["the fox", "a lazy dog jumped", "", "the quick brown fox jumped", "dog"]
PAIRS = [("the fox", "a dog"), ("brown", "quick"), ("over", "")]


@pytest.fixture(scope="module")
def texts_preset(tmp_path_factory):
    directory = tmp_path_factory.mktemp("texts")
    write_preset(directory, CONFIG)
    add_vocabulary(directory, vocabulary())
    return directory


@pytest.fixture(scope="module")
def encoder(texts_preset) -> Encoder:
    return Encoder.from_preset(str(texts_preset), pooling="mean", padding="bucket")


@pytest.fixture(scope="module")
def of_files(texts_preset, tmp_path_factory):
    """Return what a job makes of columns in a file."""

    def encode(columns: dict, text: TextOptions | None = None, **how) -> np.ndarray:
        source = tmp_path_factory.mktemp("file") / "rows.parquet"
        pq.write_table(pa.table(columns), source)
        how = {
            "pad_id": None,
            "pooling": Pooling.MEAN,
            "padding": Padding.BUCKET,
            "text": text,
            **how,
        }
        return run(texts_preset, source, source.with_name("out.parquet"), **how)[1]

    return encode


# --- What holds the rows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "hold",
    [
        list, tuple, np.array, pa.array, pd.Series,
        lambda texts: pa.chunked_array([texts[:2], texts[2:]]),
        lambda texts: pa.array(texts).dictionary_encode(),
    ],
    ids=["list", "tuple", "numpy", "arrow", "pandas", "chunks", "dictionary"],
)  # fmt: skip
def test_texts_are_embedded_as_a_job_embeds_them(encoder, of_files, hold):
    made = encoder.encode(hold(TEXTS))
    assert made.dtype == np.float32
    np.testing.assert_array_equal(made, vectors(of_files({"text": TEXTS}, TextOptions())))


def test_pairs_are_embedded_as_a_job_embeds_them(encoder, of_files):
    first, second = zip(*PAIRS, strict=True)
    wanted = of_files({"text": first, "pair": second}, TextOptions(pair_column="pair"))
    np.testing.assert_array_equal(encoder.encode(PAIRS), vectors(wanted))


@pytest.mark.parametrize(
    "hold",
    [
        list,
        lambda rows: [np.array(row, np.int32) for row in rows],
        lambda rows: pa.array(rows, pa.list_(pa.uint16())),
        lambda rows: pd.Series(rows),
    ],
    ids=["list", "numpy", "arrow", "pandas"],
)
def test_token_ids_are_embedded_as_a_job_embeds_them(encoder, of_files, rows, hold):
    wanted = vectors(of_files({"token_ids": rows}))
    with pytest.warns(UserWarning, match="longer than 48 tokens"):
        np.testing.assert_array_equal(encoder.encode(hold(rows)), wanted)


def test_a_matrix_of_ids_has_a_row_for_each_row_and_segments_count(encoder, of_files):
    rng = np.random.default_rng(2)
    ids, segments = rng.integers(0, 60, (5, 12)), rng.integers(0, 2, (5, 12))
    wanted = of_files({"token_ids": list(ids), "segment_ids": list(segments)})
    made = encoder.encode(ids, segment_ids=segments)
    np.testing.assert_array_equal(made, vectors(wanted))
    assert np.abs(made - encoder.encode(ids)).max() > 1e-3


def test_one_text_is_one_vector(encoder):
    np.testing.assert_array_equal(encoder.encode("the fox"), encoder.encode(["the fox"])[0])


@pytest.mark.parametrize("nothing", [[], np.empty((0, 4), int), pa.array([], pa.string())])
def test_nothing_gives_no_rows(encoder, nothing):
    assert encoder.encode(nothing).shape == (0, CONFIG.hidden_dim)


def test_tokens_keep_their_vectors(texts_preset, encoder):
    made = Encoder(str(texts_preset), pooling="tokens", padding="bucket").encode(TEXTS)
    ids = encoder.preset.tokenizer().tokenize(TEXTS)
    assert [len(rows) for rows in made] == [len(row) + 2 for row in ids]
    means = [rows.mean(axis=0) for rows in made]
    np.testing.assert_allclose(means, encoder.encode(TEXTS), rtol=1e-4, atol=1e-5)


def test_a_large_number_of_rows_goes_through_several_windows(encoder):
    rng = np.random.default_rng(3)
    ids = rng.integers(0, 60, (9_000, 3))
    made = encoder.encode(ids)
    np.testing.assert_allclose(made[[0, 8_999]], encoder.encode(ids[[0, 8_999]]), atol=1e-6)


# --- Tables -----------------------------------------------------------------------------------


def table_of_texts() -> pa.Table:
    kinds = pa.array(["a", "b", "a", "b", "a"]).dictionary_encode()
    return pa.table({"id": range(5), "body": TEXTS, "kind": kinds}, metadata={"made": "by hand"})


def test_a_table_comes_back_with_its_embeddings(texts_preset, encoder, tmp_path):
    table = table_of_texts()
    made = Encoder(str(texts_preset), text_column="body", pooling="mean", padding="bucket").encode(
        table
    )
    assert made.drop_columns("embedding").replace_schema_metadata(table.schema.metadata) == table
    assert made.schema.metadata[b"made"] == b"by hand"
    np.testing.assert_array_equal(vectors(made), encoder.encode(TEXTS))
    pq.write_table(made, tmp_path / "made.parquet")
    check = verify_output(str(tmp_path / "made.parquet"))
    assert not check.faults
    assert check.metadata["preset"] == str(texts_preset)


def test_a_frame_comes_back_with_its_embeddings(encoder):
    frame = table_of_texts().to_pandas().set_index("id").rename(columns={"body": "text"})
    made = encoder.encode(frame)
    np.testing.assert_array_equal(np.stack(made["embedding"]), encoder.encode(TEXTS))
    pd.testing.assert_frame_equal(made.drop(columns="embedding"), frame)


def test_batches_are_of_the_schema_that_was_said_before(encoder):
    table = pa.table({"text": TEXTS})
    batches = [*table.to_batches(max_chunksize=2), *table.slice(0, 0).to_batches()]
    made = list(encoder.batches(batches))
    assert [len(batch) for batch in made] == [2, 2, 1]
    assert {batch.schema for batch in made} == {encoder.batches_schema(table.schema)}
    assert pa.types.is_list(made[0].schema.field("embedding").type)


def test_the_type_of_embeddings_is_known_before(texts_preset):
    for how in ({}, {"pooling": "tokens"}, {"output_dtype": "float16"}):
        encoder = Encoder(str(texts_preset), **how)
        made = encoder.encode(pa.table({"text": TEXTS}))
        assert made.schema.field("embedding").type == encoder.embedding_type
        assert len(list(encoder.batches(made.select(["text"]).to_batches()))) == 1


def test_ids_come_before_texts_in_a_table_that_has_both(encoder):
    table = pa.table({"text": ["the fox"], "token_ids": [[5, 6, 7]]})
    np.testing.assert_array_equal(vectors(encoder.encode(table)), encoder.encode([[5, 6, 7]]))


# --- Where it is used ---------------------------------------------------------------------------


def test_an_encoder_that_is_sent_twice_is_loaded_once(encoder):
    sent = pickle.dumps(encoder)
    first, second = pickle.loads(sent), pickle.loads(sent)
    assert first is second
    np.testing.assert_array_equal(first.encode(TEXTS), encoder.encode(TEXTS))


def test_threads_share_an_encoder(texts_preset, encoder):
    fresh = Encoder(str(texts_preset), pooling="mean", padding="bucket")
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(fresh.encode, [TEXTS] * 8))
    for rows in made:
        np.testing.assert_array_equal(rows, encoder.encode(TEXTS))


def test_progress_is_told_or_shown(encoder, capsys):
    seen = []
    encoder.encode(TEXTS, progress=seen.append)
    assert (seen[-1].rows, seen[-1].total_rows) == (5, 5)
    encoder.encode(TEXTS, progress=True)
    assert "5/5" in capsys.readouterr().err


def test_compiled_graphs_give_the_same_vectors(texts_preset, encoder):
    compiled = Encoder(str(texts_preset), pooling="mean", padding="bucket", compiled=True)
    np.testing.assert_allclose(compiled.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)


# --- What is refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (["a", None], InputDataError, "texts: row 1: column text is null"),
        (["a", "\ud800"], InputDataError, "lone surrogate"),
        (["a", 3], TypeError, "text 1 is no str but int"),
        ([("a", "b"), "c"], TypeError, "row 1 is no pair"),
        ([[1], [60]], InputDataError, "token_ids: row 1: column token_ids: id 60"),
        ([[1], []], InputDataError, "token_ids: row 1: .* empty"),
        ([[1], ["x"]], InputDataError, "lists of integers"),
        ([[1], 2], TypeError, "row 1 is no list of token ids but int"),
        (np.zeros((2, 2)), TypeError, "integers, not float64"),
        (pa.array([1.5]), TypeError, "not double"),
        ({"text": "a"}, TypeError, "not dict"),
        (b"text", TypeError, "not bytes"),
        (pa.table({"x": [1]}), InputDataError, "there is no column token_ids"),
        (pa.table({"text": ["a"], "embedding": [1]}), InputDataError, "embedding already"),
    ],
)
def test_what_cannot_be_embedded_is_refused(encoder, rows, error, message):
    with pytest.raises(error, match=message):
        encoder.encode(rows)


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({"pooling": "men"}, UsageError, "'men' is none of pooled, cls, mean"),
        ({"poling": "mean"}, TypeError, "'poling' is no choice"),
        ({"on_null": "skip"}, UsageError, "leaves out no row"),
        ({"sequence_length": 49}, UsageError, "not in 1..48"),
        ({"batch_size": 0}, UsageError, "at least 1"),
    ],
)
def test_a_choice_that_there_is_none_of_is_refused_at_once(texts_preset, choices, error, message):
    with pytest.raises(error, match=message):
        Encoder(str(texts_preset), **choices)


def test_a_preset_that_is_not_there_is_refused_at_once():
    with pytest.raises(PresetNotFoundError, match="f_net_minni"):
        Encoder("f_net_minni")


def test_a_null_may_count_as_an_empty_text(texts_preset, encoder):
    lenient = Encoder(str(texts_preset), pooling="mean", padding="bucket", on_null="empty")
    np.testing.assert_array_equal(lenient.encode(["a", None]), encoder.encode(["a", ""]))


def test_segments_of_texts_are_not_given(encoder):
    with pytest.raises(TypeError, match="segment_ids"):
        encoder.encode(TEXTS, segment_ids=[[0]] * 5)
