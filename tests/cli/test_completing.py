"""What a shell is offered to complete: by the protocol of Typer's scripts, and in bash itself."""

from __future__ import annotations

import gzip
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from running import clean_env, run_fnet

from fnet_cli.cli.main import main

BUILTIN = ["f_net_mini_en", "f_net_base_en", "f_net_large_en"]
# What zsh would evaluate: column names come from files of others.
HOSTILE = 'x\\" <(touch pwned) \\"'


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a file of each format, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    columns = {"token_ids": [[1]], "a:b": ["x"], HOSTILE: [1], "-o": [1], "two\nlines": [1]}
    pq.write_table(pa.table(columns), "t.parquet")
    feather.write_feather(pa.table({"arrow": [1]}), "t.arrow")
    Path("t.csv").write_bytes(b'\xef\xbb\xbfid,"my text"\n1,x\n')
    Path("t.tsv").write_text("id\tbody\n")
    Path("t.jsonl").write_text('{"title": 1, "body": 2}\n{"late": 1}\n')
    Path("t.jsonl.gz").write_bytes(gzip.compress(b'{"zipped": 1}\n'))
    Path("t.txt").write_text("text\n")
    Path("some").mkdir()
    Path("some/part-0.csv").write_text("of_part\n")
    for name, damaged in [
        ("d.parquet", b"PAR1" + b"\xff" * 60 + b"PAR1"), ("d.arrow", b"ARROW1\0\0nonsense"),
        ("d.jsonl", b"[1]\n"), ("d.jsonl.gz", b"\x1f\x8bno"), ("d.csv", b""),
        ("empty.parquet", b""), ("d.xyz", b"a,b\n"), ("long.jsonl", b'{"a": "' + b"x" * 2**21),
    ]:  # fmt: skip
        Path(name).write_bytes(damaged)
    os.mkfifo("pipe.csv")
    return tmp_path


class Shell:
    """Asks as Typer's script for bash does, in this process."""

    def __init__(self, monkeypatch, capsys) -> None:
        self._patch, self._capsys = monkeypatch, capsys
        for name, value in clean_env().items():
            monkeypatch.setenv(name, value)

    def offers(self, line: str) -> list[str]:
        """Return what is offered for the last word, which bash divides as it does."""
        words = [
            part
            for word in line.split(" ")
            for part in [part for part in re.split("([:=]+)", word) if part] or [""]
        ]
        self._patch.setenv("_FNET_COMPLETE", "complete_bash")
        self._patch.setenv("COMP_WORDS", "\n".join(words))
        self._patch.setenv("COMP_CWORD", str(len(words) - 1))
        assert main([]) == 0
        printed = self._capsys.readouterr()
        assert printed.err == ""
        return [line for line in printed.out.splitlines() if line]


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("fnet enc", ["encode"]),
        ("fnet presets pu", ["pull"]),
        ("fnet --version tok", ["tokenize"]),
        ("fnet encode x --pooling ", ["pooled", "cls", "mean", "max", "tokens"]),
        ("fnet encode x --pooling=m", ["mean", "max"]),
        ("fnet encode --device gpu:", ["0", "0,1"]),
        ("fnet encode --preset ", BUILTIN),
        ("fnet encode --preset=f_net_m", ["f_net_mini_en"]),
        ("fnet encode --preset ./f", []),
        ("fnet summary f_net_b", ["f_net_base_en"]),
        ("fnet presets pull f_net_mini_en f_net_base_en ", ["f_net_large_en"]),
        ("fnet presets remove ", []),
        ("fnet presets inspect '' ", []),
        ("fnet config set encode.poo", ["encode.pooling"]),
        ("fnet config set encode.normalize ", ["true", "false"]),
        ("fnet config set preset f_net_l", ["f_net_large_en"]),
    ],
)
def test_commands_choices_and_names(shell, line, offered):
    assert shell.offers(line) == offered


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        # No name that a shell would take for more than text.
        ("encode t.parquet --text-column ", ["token_ids", "a:b"]),
        ("encode t.parquet --text-column a:", ["b"]),
        ("encode t.arrow --token-column ", ["arrow"]),
        ("encode t.csv --pair-column ", ["id", "my\\ text"]),
        ("encode t.tsv --segment-column=b", ["body"]),
        ("encode t.jsonl t.jsonl.gz --columns ", ["title", "body", "zipped"]),
        ("encode t.jsonl --columns title,", ["title,body"]),
        ("encode -o out.parquet t.jsonl --columns b", ["body"]),
        ("encode t.txt --text-column ", ["text"]),
        ("encode some --text-column ", ["of_part"]),
        ("encode --input-format csv d.xyz --text-column ", ["a", "b"]),
        ("tokenize t.jsonl --text-column b", ["body"]),
        ("detokenize t.parquet --token-column to", ["token_ids"]),
        ("verify-output t.arrow --column ", ["arrow"]),
        ("report t.arrow --input-text-column ", ["arrow"]),
    ],
)
def test_columns_of_the_files_on_the_line(files, shell, line, offered):
    assert shell.offers(f"fnet {line}") == offered


@pytest.mark.parametrize(
    "name",
    ["d.parquet", "d.arrow", "d.jsonl", "d.jsonl.gz", "d.csv", "empty.parquet", "long.jsonl",
     "d.xyz", "pipe.csv", "missing.csv", "-", "s3://bucket/t.csv", "~nobody/t.csv"],
)  # fmt: skip
def test_a_file_without_columns_offers_none(files, shell, name):
    assert shell.offers(f"fnet encode {name} --text-column ") == []


def test_a_damaged_file_of_settings_is_none_of_the_shells_business(files, shell):
    Path("fnet.toml").write_text("damaged")
    assert shell.offers("fnet encode --preset f_net_m") == ["f_net_mini_en"]
    assert shell.offers("fnet presets verify ") == []


def test_the_program_says_nothing_else_to_a_shell(tmp_path):
    env = {"_FNET_COMPLETE": "complete_bash", "COMP_WORDS": "fnet\n--bogus\nx\n", "COMP_CWORD": "3"}
    assert run_fnet(env=env).stderr == ""


def test_bash_completes_with_the_script_that_is_installed(files):
    script = run_fnet(env={"_FNET_COMPLETE": "source_bash"}).stdout
    assert "complete -o default -F _fnet_completion fnet" in script
    (files / "fnet").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fnet_cli "$@"\n')
    (files / "fnet").chmod(0o755)
    asked = "COMP_WORDS=(fnet encode t.csv --text-column my); COMP_CWORD=4; _fnet_completion ./fnet"
    ran = subprocess.run(
        ["bash", "--norc", "-c", f'{script}\n{asked}\nprintf "%s|" "${{COMPREPLY[@]}}"'],
        env=clean_env({"PYTHONPATH": str(Path(__file__).parents[2])}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "my\\ text|", "")
