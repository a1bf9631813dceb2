"""The scripts that make the bundled preset: what is held out, and where the student starts."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from fnet_cli.backbone.mixing import fourier_mixing
from training.batches import TokenTexts, epoch_order, steps_an_epoch
from training.sources.dictd import read_entries
from training.sources.gcide import read_gcide
from training.sources.wordnet import read_synsets
from training.student import SimilarityLoss, even_directions, unit
from training.texts import Text, is_held_out, write_texts

ROOT = Path(__file__).parent.parent
HIDDEN = 32


def texts_named(*names: str) -> list[Text]:
    return [Text("made", "definition", (name,), f"what {name} is") for name in names]


# --- Texts --------------------------------------------------------------------------------------


def test_a_name_is_held_out_with_everything_under_it(tmp_path):
    names = [f"word {number}" for number in range(200)]
    write_texts(iter(texts_named(*names)), tmp_path)
    train, held_out = (
        {name for row in pq.read_table(tmp_path / part)["names"].to_pylist() for name in row}
        for part in ("train.parquet", "held_out.parquet")
    )
    assert train == {name for name in names if not is_held_out(name)}
    assert held_out == set(names) - train
    assert 2 <= len(held_out) <= 20  # one in 25


def test_a_text_that_is_held_out_anywhere_is_trained_on_nowhere(tmp_path):
    names = [f"word {number}" for number in range(100)]
    apart = next(name for name in names if is_held_out(name))
    other = next(name for name in names if not is_held_out(name))
    texts = [
        Text("a", "definition", (other,), "The same."),
        Text("b", "entry", (apart,), "the same"),
    ]
    assert write_texts(iter(texts), tmp_path) == (0, 1)


def test_a_word_of_several_names_is_held_out_with_each(tmp_path):
    apart = next(f"word {n}" for n in range(100) if is_held_out(f"word {n}"))
    text = Text("wordnet", "definition", ("another", apart), "what both are")
    assert write_texts(iter([text]), tmp_path) == (0, 1)


def test_the_example_sentences_are_among_the_texts_that_were_held_out():
    listed = set((ROOT / "training/held_out.sha256").read_text().split())
    assert len(listed) > 10_000
    assert {len(line) for line in listed} == {16}
    sentences = (ROOT / "docs/examples/sentences.txt").read_text().splitlines()
    found = [hashlib.sha256(line.encode()).hexdigest()[:16] in listed for line in sentences]
    assert any(found)  # the evaluation takes a part of what is held out


# --- Sources ------------------------------------------------------------------------------------


def write_dictionary(directory: Path, name: str, entries: dict[str, str]) -> None:
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

    def number(value: int) -> str:
        return (number(value // 64) if value > 63 else "") + digits[value % 64]

    text, index = b"", []
    for word, entry in entries.items():
        data = entry.encode()
        index.append(f"{word}\t{number(len(text))}\t{number(len(data))}")
        text += data
    packed = zlib.compressobj(wbits=31)
    (directory / f"{name}.dict.dz").write_bytes(packed.compress(text) + packed.flush())
    (directory / f"{name}.index").write_text("\n".join(index) + "\n")


def test_a_dictionary_is_read_in_the_order_of_its_text(tmp_path):
    entries = {"zebra": "a striped horse " * 20, "ant": "an insect"}
    write_dictionary(tmp_path, "made", entries)
    assert list(read_entries(tmp_path, "made")) == list(entries.items())


def test_gcide_gives_its_own_definitions_and_not_those_of_wordnet(tmp_path):
    entry = (
        "Fox \\Fox\\ (f[o^]ks), n. [AS. fox.]\n"
        "   1. A carnivorous animal of the genus Vulpes.\n"
        "      [1913 Webster]\n\n"
        "   2. A sly person.\n"
        "      [WordNet 1.5]\n"
    )
    write_dictionary(tmp_path, "gcide", {"Fox": entry})
    (found,) = read_gcide(tmp_path)
    assert found.word == "Fox"
    assert [text.rstrip(".") for text in found.definitions] == [
        "A carnivorous animal of the genus Vulpes"
    ]


def test_a_gloss_is_a_definition_and_its_examples(tmp_path):
    line = (
        '00001740 03 n 02 big_dog 0 hound 1 000 | a large dog; "the hound barked"; "hounds run"\n'
    )
    for letter in ("noun", "verb", "adj", "adv"):
        (tmp_path / f"data.{letter}").write_text("  1 a licence\n" + (line * (letter == "noun")))
    (synset,) = read_synsets(tmp_path)
    assert synset.words == ("big dog", "hound")
    assert synset.definition == "a large dog"
    assert synset.examples == ["the hound barked", "hounds run"]


# --- Batches and student --------------------------------------------------------------------------


def test_an_epoch_has_every_row_once_in_batches_of_one_width():
    widths = np.repeat([8, 16, 64], [2000, 31, 3])
    batches = list(epoch_order(widths, np.random.default_rng(1)))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(widths)))
    assert all(len(set(widths[rows])) == 1 for rows in batches)
    assert len(batches) == steps_an_epoch(widths)


def test_a_batch_is_padded_to_its_width():
    texts = TokenTexts(
        ids=np.arange(1, 6), starts=np.array([0, 2]), lengths=np.array([2, 3]),
        widths=np.array([4, 4]),
    )  # fmt: skip
    assert texts.dense(np.array([1, 0]), pad_id=9).tolist() == [[3, 4, 5, 9], [1, 2, 9, 9]]


def test_the_mean_of_even_vectors_passes_two_mixings():
    import keras

    even = even_directions(HIDDEN)[: HIDDEN // 2 - 1]
    x = (np.random.default_rng(2).normal(size=(1, 12, len(even))) @ even).astype("float32")
    twice = keras.ops.convert_to_numpy(fourier_mixing(fourier_mixing(keras.ops.array(x))))
    np.testing.assert_allclose(twice.mean(1) / (12 * HIDDEN), x.mean(1), atol=1e-5)


def test_the_directions_are_orthogonal_and_the_last_are_what_a_normalisation_takes():
    directions = even_directions(HIDDEN)
    np.testing.assert_allclose(directions @ directions.T, np.eye(HIDDEN), atol=1e-6)
    np.testing.assert_allclose(directions[:-2].sum(1), 0, atol=1e-5)


@pytest.mark.parametrize("same", [True, False])
def test_the_loss_is_zero_where_the_student_is_the_teacher(same):
    rng = np.random.default_rng(3)
    wanted, other = (unit(rng.normal(size=(6, 8)).astype("float32")) for _ in range(2))
    loss = float(SimilarityLoss(1.0, 20.0)(wanted, wanted if same else other))
    assert abs(loss) < 1e-5 if same else loss > 0.1
