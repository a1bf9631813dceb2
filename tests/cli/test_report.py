"""`fnet report` as a person and a script see it."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import clean_env, run_fnet


@pytest.fixture
def directory(tmp_path):
    vectors = np.random.default_rng(0).standard_normal((30, 4)).astype(np.float32)
    vectors[3] = vectors[20]
    embedding = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 4)
    table = pa.table({"body": [f"text {i}" for i in range(30)], "embedding": embedding})
    pq.write_table(
        table.replace_schema_metadata({"fnet": '{"pooling": "mean"}'}), tmp_path / "x.parquet"
    )
    return tmp_path


def test_a_page_is_written_once_and_its_numbers_printed(directory):
    command = ["report", "x.parquet", "-o", "r.html", "--projection", "pca", "--sample", "25",
               "--input-text-column", "body", "--json"]  # fmt: skip
    ran = run_fnet(*command, cwd=directory)
    found = json.loads(ran.stdout)
    assert ran.returncode == 0
    assert ran.stderr.splitlines() == [
        "fnet: comparing 25 rows with each other",
        f"fnet: wrote r.html: 25 of 30 rows, drawn with seed 0; "
        f"{(directory / 'r.html').stat().st_size / 1e6:.1f} MB",
    ]
    assert found["sample"] == {"rows": 25, "seed": 0, "all": False}
    assert (found["rows"], found["text_column"], found["output"]) == (30, "body", "r.html")
    assert found["near_duplicates"]["groups"] == [
        [{"file": "x.parquet", "row": 3}, {"file": "x.parquet", "row": 20}]
    ]
    assert found["metadata"] == {"pooling": "mean"}
    page = (directory / "r.html").read_bytes()
    again = run_fnet(*command, cwd=directory)
    assert (again.returncode, again.stdout) == (7, "")
    assert again.stderr == "fnet: error: r.html exists\nfnet: hint: --overwrite replaces it\n"
    assert run_fnet(*command, "--overwrite", "-q", cwd=directory).stderr == ""
    assert (directory / "r.html").read_bytes() == page
    assert sorted(path.name for path in directory.iterdir()) == ["r.html", "x.parquet"]


@pytest.mark.parametrize(
    ("arguments", "code", "lines"),
    [
        (["x.parquet"], 2, ["there is no output", "add -o report.html, or --json"]),
        (["x.parquet", "-o", "r.png"], 2,
         ["r.png: a page ends in .html", "--png makes a picture"]),
        (["x.parquet", "-o", "r.html", "--sample", "0"], 2,
         ["--sample must be 1 to 20,000, not 0", "fnet verify-output reads every row"]),
        (["x.parquet", "-o", "r.html", "--seed", "4294967296"], 2,
         ["--seed must be 0 to 4294967295, not 4294967296"]),
        (["none.parquet", "-o", "r.html"], 3, ["none.parquet: no such file"]),
        (["x.parquet", "-o", "r.html", "--column", "body"], 3,
         ["x.parquet: its vectors are string, no lists of floating-point numbers",
          "--column names another; columns: body, embedding"]),
        (["x.parquet", "-o", "no/r.html"], 7, None),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_leaves_nothing(
    directory, capsys, monkeypatch, arguments, code, lines
):
    from fnet_cli.cli.main import main

    monkeypatch.chdir(directory)
    assert main(["report", *arguments]) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    if lines:
        labels = ("error", "hint")
        expected = [f"fnet: {label}: {line}" for label, line in zip(labels, lines, strict=False)]
        assert captured.err.splitlines()[: len(lines)] == expected
    assert [path.name for path in directory.iterdir()] == ["x.parquet"]


def test_without_the_extra_it_says_what_to_install_and_no_framework_is_loaded(directory):
    code = (
        "import sys; from fnet_cli.cli.main import main; "
        "numbers = main(['report', 'x.parquet', '--json', '--projection', 'pca']); "
        "sys.modules['plotly'] = None; "
        "refused = main(['report', 'x.parquet', '-o', 'r.html']); "
        "found = {'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules); "
        "sys.exit(f'{numbers} {refused} {found}')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=directory, env=clean_env(), capture_output=True, text=True
    )
    assert ran.stderr.splitlines() == [
        "fnet: comparing 30 rows with each other",
        "fnet: error: a report needs plotly, which is not installed",
        "fnet: hint: pip install 'fnet-cli[report]'",
        "0 2 set()",
    ]
