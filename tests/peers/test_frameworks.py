"""An encoder inside what others build pipelines with: the pages about it do what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers import peer
from pages import PATIENCE, ROOT, run_script, script_of

from fnet_cli import Encoder
from fnet_cli.encoding.verifying import verify_output

pytestmark = pytest.mark.timeout(PATIENCE)
SENTENCES = (ROOT / "docs/examples/sentences.txt").read_text().splitlines()


@pytest.fixture(scope="module")
def vectors() -> dict[str, np.ndarray]:
    made = Encoder.from_preset("f_net_mini_en").encode(SENTENCES)
    return dict(zip(SENTENCES, made, strict=True))


def run_page(name: str, directory: Path) -> str:
    """Run a how-to page, from start to end, in a directory with the examples."""
    return run_script(
        script_of([f"docs/how-to/{name}.md"]), directory, {"SPARK_LOCAL_IP": "127.0.0.1"}
    )


def check_rows(table: pa.Table, vectors: dict[str, np.ndarray]) -> None:
    assert sorted(table["text"].to_pylist()) == sorted(SENTENCES)
    made = np.array(table["embedding"].to_pylist(), np.float32)
    np.testing.assert_allclose(
        made, [vectors[text] for text in table["text"].to_pylist()], atol=1e-5
    )


def test_the_page_about_python_runs(tmp_path):
    printed = run_page("python", tmp_path)
    assert printed.startswith("(3, 256) float32")
    assert printed.endswith("2000 of 2000\n")
    assert not verify_output(str(tmp_path / "bodies.parquet")).faults


@pytest.mark.parametrize(
    ("name", "library", "output"),
    [
        ("ray-data", "ray", "embeddings"),
        ("spark", "pyspark", "embeddings"),
        ("dask", "dask", "embeddings"),
        ("hugging-face-libraries", "datasets", "embeddings.parquet"),
    ],
)
def test_every_row_gets_its_embedding(tmp_path, vectors, name, library, output):
    peer(library)
    if library == "datasets":
        peer("sentence_transformers")
    printed = run_page(name, tmp_path)
    check_rows(pq.read_table(tmp_path / output, columns=["text", "embedding"]), vectors)
    assert ("spearman_cosine" in printed) == (library == "datasets")
