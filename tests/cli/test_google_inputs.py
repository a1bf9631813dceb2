"""Inputs on Google Cloud Storage, whose client has ways of its own: a fake, a process of ours."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from fakes import faults
from fakes.google import SECRETS, FakeGoogle
from running import FNET, clean_env, run_fnet

EXAMPLE = Path(__file__).parents[2] / "docs/examples/sentences.parquet"
TOKENIZE = ["tokenize", "--text-column", "text", "--token-column", "new_ids",
            "--segment-column", "new_segments"]  # fmt: skip
PARTS = [f"d/lang={lang}/part-0.parquet" for lang in ("de", "en")]
LINES = b'{"text": "the fox"}\n' * 100


@pytest.fixture
def google() -> Iterator[FakeGoogle]:
    objects = dict.fromkeys((*PARTS, "d/_tmp/part-0.parquet"), EXAMPLE)
    with FakeGoogle("corpus", {**objects, "rows.jsonl": LINES}) as fake:
        yield fake


def env_of(google: FakeGoogle, directory: Path) -> dict[str, str]:
    short = {"FNET_TIMEOUT": "5", "FNET_RETRIES": "0", "no_proxy": "127.0.0.1"}
    return {**short, **google.variables(directory)}


def run(google: FakeGoogle, directory: Path, *arguments: object):
    ran = run_fnet(*arguments, env=env_of(google, directory), cwd=directory)
    assert not any(secret in ran.stdout + ran.stderr for secret in SECRETS)
    return ran


@pytest.mark.parametrize("name", ["d", "d/lang=*/part-*.parquet", "d/**/*.parquet", "rows.jsonl"])
def test_a_uri_is_tokenized_as_the_same_path(google, tmp_path, name):
    for part in PARTS:
        (tmp_path / part).parent.mkdir(parents=True)
        shutil.copy(EXAMPLE, tmp_path / part)
    (tmp_path / "rows.jsonl").write_bytes(LINES)
    for source, output in [(f"gs://corpus/{name}", "s"), (name, "l")]:
        ran = run(google, tmp_path, *TOKENIZE, source, "-o", f"{output}.parquet")
        assert ran.returncode == 0, ran.stderr
    assert pq.read_table(tmp_path / "s.parquet").equals(pq.read_table(tmp_path / "l.parquet"))


@pytest.mark.parametrize(
    ("name", "said"),
    [("d/lang=*", "it matches directories only"), ("none.jsonl", "no such file"),
     ("d/x=*/*.parquet", "there is no file to read")],
)  # fmt: skip
def test_what_is_not_there_is_said_as_of_paths(google, tmp_path, name, said):
    ran = run(google, tmp_path, *TOKENIZE, f"gs://corpus/{name}", "-o", "o.parquet")
    assert ran.returncode == 3
    assert ran.stderr.startswith(f"fnet: error: gs://corpus/{name}: {said}\n")


def test_only_what_is_needed_is_asked_for_at_a_time(google, tmp_path):
    run(google, tmp_path, *TOKENIZE, f"gs://corpus/{PARTS[0]}", "-o", "o.parquet")
    ranges = [one.headers.get("range") for one in google.requests("media")]
    asked = [span for span in ranges if span is not None]
    assert asked
    assert not any(span.endswith("-") for span in asked)


def test_ctrl_c_gets_through_while_a_file_does_not_come(google, tmp_path):
    google.set_faults(faults.stall(at=10, match="part-0"))
    command = [*FNET, *TOKENIZE, "gs://corpus/d", "-o", "o.parquet"]
    env = clean_env({**env_of(google, tmp_path), "FNET_TIMEOUT": "600"})
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, cwd=tmp_path)
    try:
        until = time.monotonic() + 60
        while time.monotonic() < until and not any(one.fault for one in google.requests()):
            time.sleep(0.05)
        time.sleep(0.5)  # so that the wait begins
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
    finally:
        process.kill()
    assert (process.returncode, said) == (130, "fnet: interrupted; no file was written\n")
