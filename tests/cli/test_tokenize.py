"""`fnet tokenize`, `fnet detokenize` and text options as a user runs them."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import FNET, clean_env, run_fnet, run_shell

TEXTS = ["The quick brown fox.", "It jumped", "Über die Straße"]


@pytest.fixture
def texts(tmp_path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS) + "\n")
    return path


def tokenize(directory: Path, *arguments: str, stdin: str = ""):
    return run_fnet("tokenize", *arguments, cwd=directory, stdin=stdin)


def test_tokenize_says_what_it_did_and_where_it_went(texts, tmp_path):
    ran = tokenize(tmp_path, "texts.txt", "-o", "tokens.parquet")
    assert (ran.returncode, ran.stdout) == (0, "")
    done, how, where = ran.stderr.splitlines()
    assert done.startswith("fnet: 3 rows in ")
    assert how == "fnet: 0 truncated, preset f_net_mini_en"
    assert where == "fnet: wrote tokens.parquet"


def test_the_record_is_on_standard_output_and_nothing_else(texts, tmp_path):
    ran = tokenize(tmp_path, "texts.txt", "-o", "tokens.parquet", "--quiet", "--json")
    record = json.loads(ran.stdout)
    assert (record["rows_in"], record["rows_out"], record["documents"]) == (3, 3, 3)
    assert record["tokens"] == sum(
        map(len, pq.read_table(tmp_path / "tokens.parquet")["token_ids"].to_pylist())
    )
    assert ran.stderr == ""


def test_detokenize_shows_the_texts_again(texts, tmp_path):
    tokenize(tmp_path, "texts.txt", "-o", "tokens.parquet")
    ran = run_fnet("detokenize", "tokens.parquet", "--limit", "2", cwd=tmp_path)
    assert (ran.returncode, ran.stdout.splitlines()) == (0, TEXTS[:2])


def test_detokenize_reads_json_lines_from_a_pipe(texts):
    ran = run_shell(
        f"fnet tokenize {texts} -o - -q | fnet detokenize - --keep-special --json | head -n 1"
    )
    assert json.loads(ran.stdout) == {"row": 1, "text": f"[CLS] {TEXTS[0]} [SEP]"}
    assert (ran.returncode, ran.stderr) == (0, "")


def test_detokenize_keeps_a_text_in_its_line_and_the_terminal_calm(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a\\u001b[31m\\nb"}\n{"text": "c"}\n')
    tokenize(tmp_path, "t.jsonl", "-o", "tokens.jsonl")
    ran = run_fnet("detokenize", "tokens.jsonl", cwd=tmp_path)
    assert len(ran.stdout.splitlines()) == 2
    assert all(line.isprintable() for line in ran.stdout.splitlines())


def test_detokenize_refuses_a_negative_limit(tmp_path):
    ran = run_fnet("detokenize", "t.parquet", "--limit", "-1", cwd=tmp_path)
    assert ran.returncode == 2
    assert ran.stderr.startswith("fnet: error: --limit must not be negative, it is -1\n")


def test_rows_on_a_pipe_come_out_as_they_come_in():
    command = [*FNET, "tokenize", "-", "--input-format", "text", "-o", "-", "-q"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=clean_env(), text=True, **pipes) as process:
        for text in ("the fox", "dog"):  # the second is written when the first has come
            process.stdin.write(f"{text}\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["text"] == text
        process.stdin.close()
    assert process.returncode == 0


def test_a_signal_leaves_nothing_and_keeps_the_old_output(tmp_path):
    (tmp_path / "o.parquet").write_text("precious")
    command = [
        *FNET, "tokenize", "-", "--input-format", "text", "-o", "o.parquet", "--overwrite",
    ]  # fmt: skip
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=clean_env(), text=True, cwd=tmp_path, **pipes) as process:
        deadline = time.monotonic() + 60
        while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)
        assert process.stderr.read() == "fnet: interrupted; no file was written\n"
    assert process.returncode == 130
    assert [path.name for path in tmp_path.iterdir()] == ["o.parquet"]
    assert (tmp_path / "o.parquet").read_text() == "precious"


def test_detokenize_names_an_id_that_is_not_in_the_vocabulary(tmp_path):
    pq.write_table(pa.table({"token_ids": [[4, 5], [4, 10**6]]}), tmp_path / "t.parquet")
    ran = run_fnet("detokenize", "t.parquet", cwd=tmp_path)
    assert ran.returncode == 3
    assert "t.parquet: row 1: column token_ids: id 1000000" in ran.stderr


def test_pairs_and_other_names(tmp_path):
    (tmp_path / "t.csv").write_text("question,answer\nWho?,The fox\n")
    ran = tokenize(
        tmp_path, "t.csv", "-o", "-", "-q", "--text-column", "question", "--pair-column", "answer",
        "--token-column", "ids", "--segment-column", "parts", "--columns", "",
    )  # fmt: skip
    row = json.loads(ran.stdout)
    assert set(row) == {"ids", "parts"}
    assert set(row["parts"]) == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["t.jsonl", "-o", "o.parquet"], "t.jsonl: line 2: column text is null", 3),
        (["t.csv", "-o", "o.parquet", "--text-column", "body"], "no column body", 3),
        (["t.csv", "-o", "o.parquet", "--chunk", "4", "--overlap", "4"], "--overlap 4 is not", 2),
        (["t.csv", "-o", "o.pdf"], "o.pdf: the suffix does not tell the format", 2),
        (["gone.txt", "-o", "o.parquet"], "gone.txt: no such file", 3),
        (["latin.jsonl", "-o", "o.parquet"], "latin.jsonl: line 1: ", 3),
        (["t.csv", "-o", "s3://b/o.jsonl"], "are written to one file on this machine", 2),
        (["t.csv", "-o", "-", "--json"], "both write to standard output", 2),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, arguments, message, code):
    (tmp_path / "t.csv").write_text("id,text\n1,dog\n")
    (tmp_path / "t.jsonl").write_text('{"text": "dog"}\n{"text": null}\n')
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "caf\xe9"}\n')
    ran = tokenize(tmp_path, *arguments)
    assert ran.returncode == code
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"t.csv", "t.jsonl", "latin.jsonl"}


def test_a_dry_run_of_texts(texts, tmp_path):
    ran = run_fnet("encode", "texts.txt", "-o", "o.parquet", "--dry-run", "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["output_schema"]["text"] == "string"
    assert not (tmp_path / "o.parquet").exists()


def test_encode_reads_text_from_a_pipe_in_chunks():
    ran = run_shell(
        "printf 'The quick brown fox jumped.\\nTwo\\n' | "
        "fnet encode - --input-format text --chunk 3 --overlap 1 -o - -q"
    )
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0, ran.stderr
    assert [row["chunk"] for row in rows if row["document"] == 0] == list(range(len(rows) - 1))
    assert set(rows[0]) == {"document", "chunk", "char_start", "char_end", "embedding"}
