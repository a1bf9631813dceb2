"""Hundreds of damaged files: each is one clear error, or gives as many rows as it states."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from damaging import CORPUS
from texts import write_text_preset

READER = Path(__file__).with_name("read_damaged.py")


@pytest.fixture(scope="module")
def preset(tmp_path_factory) -> Path:
    return write_text_preset(tmp_path_factory.mktemp("preset"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("damaged")
    with zipfile.ZipFile(CORPUS) as archive:
        archive.extractall(directory)
    return directory


def test_there_are_hundreds_of_files_of_every_format(corpus):
    names = [path.name for path in corpus.iterdir()]
    assert len(names) > 300
    for suffix in (
        ".parquet",
        ".jsonl",
        ".jsonl.gz",
        ".jsonl.zst",
        ".txt",
        ".csv",
        ".tsv",
        ".arrow",
    ):
        assert sum(name.endswith(suffix) for name in names) >= 40


@pytest.mark.parametrize("on_error", ["fail", "skip"])
def test_no_damaged_file_crashes_hangs_or_loses_rows_in_silence(corpus, preset, on_error):
    ran = subprocess.run(
        [sys.executable, str(READER), str(corpus), str(preset), on_error],
        capture_output=True,
        text=True,
        timeout=240,
    )
    found = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, (found[-1:], ran.stderr[-2000:])
    assert len(found) == len(list(corpus.iterdir()))
    for entry in found:
        if "error" in entry:
            assert entry["file"] in entry["error"], entry
            assert "\n" not in entry["error"]
            assert entry["code"] == 3, entry
        else:
            assert entry["rows"] + entry["rejected"] == entry["stated"], entry
    assert sum("error" in entry for entry in found) > (100 if on_error == "fail" else 20)
