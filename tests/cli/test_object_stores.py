"""Inputs in an object store and at other URIs, as a user gives them: a process, a real server."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.answers import Reply, Request
from fakes.object_store import SECRET, ObjectStore
from fakes.server import LoopbackServer
from fakes.stalled import Stalled
from running import FNET, clean_env, run_fnet

EXAMPLE = Path(__file__).parents[2] / "docs/examples/sentences.parquet"
# What the example has must not be written over.
NEW_NAMES = ["--token-column", "new_ids", "--segment-column", "new_segments"]
TOKENIZE = ["tokenize", "--text-column", "text", *NEW_NAMES]
DEAD = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Return a directory of files, of which the store has a copy under `data`."""
    root = tmp_path_factory.mktemp("local") / "data"
    for lang in ("de", "en"):
        (root / f"parts/lang={lang}").mkdir(parents=True)
        shutil.copy(EXAMPLE, root / f"parts/lang={lang}/part-0.parquet")
    lines = [json.dumps({"text": row["text"]}) for row in pq.read_table(EXAMPLE).to_pylist()]
    (root / "rows.jsonl.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return root


@pytest.fixture(scope="module")
def store(data) -> Iterator[ObjectStore]:
    with ObjectStore("corpus") as made:
        made.put_all(data, "data")
        yield made


def run(store: ObjectStore, *arguments: object, cwd: Path, **env: str):
    """Run a command that gives up soon; whatever it says, it is no secret."""
    short = {"FNET_RETRIES": "0", "FNET_TIMEOUT": "5"}
    ran = run_fnet(*arguments, env={**store.variables, **short, **env}, cwd=cwd)
    assert SECRET not in ran.stdout + ran.stderr
    return ran


def refused(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that says why, after checking that there is no other but a hint."""
    lines = ran.stderr.splitlines()
    assert ran.stdout == ""
    assert all(line.startswith("fnet: hint: ") for line in lines[1:]), ran.stderr
    return lines[0].removeprefix("fnet: error: ")


def test_a_prefix_encodes_as_the_same_directory(store, data, tmp_path):
    for source, output in [("s3://corpus/data/parts", "s"), (data / "parts", "l")]:
        ran = run(store, "encode", source, "-o", f"{output}.parquet", "--limit", "400",
                  "--sequence-length", "16", cwd=tmp_path)  # fmt: skip
        assert ran.returncode == 0, ran.stderr
    stored = pq.read_table(tmp_path / "s.parquet")
    assert stored.num_rows == 400
    assert stored.schema.field("lang").type == pa.string()
    assert stored.equals(pq.read_table(tmp_path / "l.parquet"), check_metadata=True)


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "parts/lang=*/part-*.parquet", "parts/**"])
def test_a_uri_is_tokenized_as_the_same_path(store, data, tmp_path, name):
    for source, output in [(f"s3://corpus/data/{name}", "s"), (data / name, "l")]:
        ran = run(store, *TOKENIZE, source, "-o", f"{output}.parquet", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    stored = pq.read_table(tmp_path / "s.parquet")
    assert stored.equals(pq.read_table(tmp_path / "l.parquet"), check_metadata=True)


def test_tokens_are_shown_as_text_where_they_are(store, tmp_path):
    uri = store.put("tokens.jsonl", b'{"token_ids": [5]}\n{"token_ids": [5, 6]}\n')
    (tmp_path / "tokens.jsonl").write_bytes(b'{"token_ids": [5]}\n{"token_ids": [5, 6]}\n')
    for name in (uri, "tokens.jsonl"):
        ran = run(store, "detokenize", name, "--keep-special", cwd=tmp_path)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert ran.stdout == "[SEP]\n[SEP] [MASK]\n"
    gone = run(store, "detokenize", "s3://corpus/gone.jsonl", cwd=tmp_path)
    assert (gone.returncode, gone.stdout) == (3, "")
    assert "s3://corpus/gone.jsonl: no such file" in gone.stderr


@pytest.mark.parametrize("scheme", ["file", "local"])
def test_a_file_uri_is_tokenized_as_its_path(data, tmp_path, scheme):
    for source, output in [
        (f"{scheme}://{data}/rows.jsonl.gz", "u"),
        (data / "rows.jsonl.gz", "l"),
    ]:
        ran = run_fnet(*TOKENIZE, source, "-o", f"{output}.jsonl", "--offline", cwd=tmp_path)
        assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "u.jsonl").read_bytes() == (tmp_path / "l.jsonl").read_bytes()


def test_an_endpoint_wins_over_the_environment(store, tmp_path):
    command = [*TOKENIZE, "s3://corpus/data/rows.jsonl.gz", "-o", "o.jsonl"]
    ran = run(store, *command, "--endpoint", store.url, cwd=tmp_path, AWS_ENDPOINT_URL=DEAD)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("address", [f"http://me:{SECRET}@127.0.0.1", SECRET, f"ftp://{SECRET}"])
@pytest.mark.parametrize("command", ["encode", "tokenize"])
def test_an_endpoint_that_is_none_is_not_shown(store, tmp_path, command, address):
    ran = run(store, command, "s3://corpus/x", "-o", "o.jsonl", "--endpoint", address, cwd=tmp_path)
    assert ran.returncode == 2
    assert refused(ran).startswith("--endpoint ")


@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("s3://corpus/none.parquet", 3, "s3://corpus/none.parquet: no such file"),
        ("s3://no-such-bucket/a.parquet", 3, "s3://no-such-bucket/a.parquet: no such file"),
        ("s3://corpus/data/none-*", 3, "s3://corpus/data/none-*: there is no file to read"),
        ("s3://corpus/data/parts/lang=*", 3, "it matches directories only"),
        (f"s3://me:{SECRET}@corpus/a.parquet", 2, "s3://...: credentials seem to stand in"),
        ("https://corpus.example/a.parquet", 2, "files on web servers are not read"),
        ("nonsense://corpus/a.parquet", 2, "there is no store nonsense://"),
    ],
)
def test_what_cannot_be_read_is_one_line(store, tmp_path, source, code, said):
    ran = run(store, "encode", source, "-o", "o.parquet", cwd=tmp_path)
    assert (ran.returncode, said in refused(ran)) == (code, True), ran.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_away_is_a_network_error(store, tmp_path):
    ran = run(store, "encode", "s3://corpus/data", "-o", "o.parquet", cwd=tmp_path,
              AWS_ENDPOINT_URL=DEAD)  # fmt: skip
    assert ran.returncode == 5
    assert refused(ran).startswith("s3://corpus/data: ")


def test_offline_no_store_is_asked(store, tmp_path):
    ran = run(store, "encode", "s3://corpus/data", "-o", "o.parquet", "--offline", cwd=tmp_path)
    assert (ran.returncode, refused(ran)) == (5, "s3://corpus/data cannot be read offline")


class Closed(LoopbackServer):
    """A store that lets nobody in."""

    def reply_to(self, request: Request) -> Reply:
        return Reply(403)


def test_a_store_that_refuses_the_credentials_is_a_network_error(store, tmp_path):
    with Closed() as closed:
        ran = run(store, "encode", "s3://corpus/data", "-o", "o.parquet", "--endpoint", closed.url,
                  cwd=tmp_path)  # fmt: skip
    assert ran.returncode == 5
    assert refused(ran).startswith("s3://corpus/data: ")
    assert "credentials" in ran.stderr


def test_ctrl_c_gets_through_while_a_store_says_nothing(store, tmp_path):
    stalled = Stalled()
    env = {**store.variables, "AWS_ENDPOINT_URL": stalled.url, "FNET_TIMEOUT": "600"}
    command = [*FNET, "encode", "s3://corpus/data", "-o", "o.parquet"]
    process = subprocess.Popen(
        command, env=clean_env(env), stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    try:
        until = time.monotonic() + 60
        while not stalled.connections and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, said = process.communicate(timeout=30)
        assert time.monotonic() - began < 5
    finally:
        process.kill()
        stalled.stop()
    assert (process.returncode, said) == (130, "fnet: interrupted; no file was written\n")


# --- Jobs that go on --------------------------------------------------------------------------

# A window is of 128 rows: as many as are large where each has as many tokens as it may.
ROWS = 500
JOB = ["-o", "out.parquet", "--pooling", "tokens", "--sequence-length", "128", "--padding", "none"]


def put_rows(store: ObjectStore, prefix: str, last_id: int) -> None:
    """Write two objects with the rows of several windows, the last of them with this token id."""
    rows = [json.dumps({"id": row, "token_ids": [row % 60]}) for row in range(ROWS)]
    store.put(f"{prefix}/a.jsonl", "\n".join(rows).encode())
    last = {"id": ROWS, "token_ids": [last_id]}
    store.put(f"{prefix}/b.jsonl", json.dumps(last).encode())


@pytest.fixture
def unfinished(store, tmp_path, request) -> list[str]:
    """Return the command of a job that has failed at its last row."""
    prefix = f"jobs/{request.node.name}"
    put_rows(store, prefix, 999_999)
    job = ["encode", f"s3://corpus/{prefix}", *JOB]
    ran = run(store, *job, cwd=tmp_path)
    assert ran.returncode == 3, ran.stderr
    assert f"s3://corpus/{prefix}/b.jsonl: line 1: " in ran.stderr
    assert "--resume goes on from there" in ran.stderr
    return job


def test_a_job_goes_on_and_names_the_object_of_a_rejected_row(store, unfinished, tmp_path):
    ran = run(store, *unfinished, "--resume", "--on-error", "quarantine", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    record = json.loads(ran.stdout)
    assert (record["rows_out"], record["rows_rejected"]) == (ROWS, 1)
    assert record["rows_resumed"] > 0
    rejected = json.loads((tmp_path / "out.parquet.rejected.jsonl").read_text())
    assert rejected["file"] == f"{unfinished[1]}/b.jsonl"
    assert pq.read_table(tmp_path / "out.parquet")["id"].to_pylist() == list(range(ROWS))


def test_a_job_does_not_go_on_with_an_object_that_has_changed(store, unfinished, tmp_path):
    prefix = unfinished[1].removeprefix("s3://corpus/")
    store.put(f"{prefix}/b.jsonl", b'{"id": 500, "token_ids": [7]}')
    ran = run(store, *unfinished, "--resume", cwd=tmp_path)
    assert ran.returncode == 7
    assert f"{unfinished[1]}/b.jsonl has changed" in refused(ran)


def test_an_output_that_is_an_input_is_refused_by_its_file_uri(tmp_path):
    shutil.copy(EXAMPLE, tmp_path / "out.parquet")
    source = f"file://{tmp_path}/out.parquet"
    ran = run_fnet("encode", source, "-o", "out.parquet", "--overwrite", cwd=tmp_path)
    assert (ran.returncode, refused(ran)) == (2, "out.parquet is an input and the output")
    assert (tmp_path / "out.parquet").read_bytes() == EXAMPLE.read_bytes()
