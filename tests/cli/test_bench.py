"""`fnet bench` measures a real model, and prints for people and for pipelines."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
from pathlib import Path

import pytest
from builders import write_preset
from running import FNET, clean_env, run_fnet, run_once, run_shell

from fnet_cli.cli.bench import _COLUMNS, caption
from fnet_cli.cli.tables import Table, print_table

PAGE = (Path(__file__).parents[2] / "docs/how-to/bench.md").read_text()
BRIEFLY = ("--seconds", "0.2", "--lengths", "16")


@pytest.fixture(scope="module")
def as_json(tmp_path_factory) -> subprocess.CompletedProcess[str]:
    return run_once(
        tmp_path_factory, "bench-json",
        lambda _: run_fnet("bench", *BRIEFLY, "--json", env={"FORCE_COLOR": "1"}),
    )[0]  # fmt: skip


@pytest.fixture(scope="module")
def document(as_json) -> dict:
    return json.loads(as_json.stdout)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_is_one_document_about_the_machine_and_its_rates(as_json, document):
    assert (as_json.returncode, as_json.stdout.count("\n")) == (0, 1)
    assert (document["preset"], document["device"]) == ("f_net_mini_en", "cpu")
    assert document["backend"] in document["versions"]
    assert document["cores"] >= 1
    assert document["processor"]
    assert [(row["case"], row["padding"]) for row in document["rows"]] == [
        ("equal", "none"), ("short", "bucket"),
    ]  # fmt: skip
    for row in document["rows"]:
        assert row["tokens_per_second"] > row["rows_per_second"] > 0
        # On a machine that others use a floor may be slow by chance.
        assert 0 < row["floor_share"] < 1.5


def test_progress_and_nothing_else_is_on_standard_error(as_json):
    first, *others = as_json.stderr.splitlines()
    assert first == "fnet: loading f_net_mini_en"
    assert others == [
        "fnet: measuring 1 of 2: equal rows of 16 tokens",
        "fnet: measuring 2 of 2: short rows of 24 tokens",
    ]


def test_every_key_is_documented(document):
    for key in {*document, *document["rows"][0]}:
        assert re.search(rf"^\|[^|]*`{key}`", PAGE, re.MULTILINE), key


def test_the_how_to_commands_run_and_a_pipe_gets_tsv(tmp_path):
    first, second = re.findall(r"^```sh\n(.*?)\n```", PAGE, re.MULTILINE | re.DOTALL)
    write_preset(tmp_path / "tiny")  # which compiles sooner
    briefly = " ".join(["fnet bench --preset tiny", *BRIEFLY])
    commands = [command.replace("fnet bench", briefly) for command in (first, second)]
    shell = f"cd {tmp_path}; {commands[0]} | cat && {commands[1]}"
    root = str(Path(__file__).parents[2])
    ran = run_shell(shell, {"NO_COLOR": "1", "PYTHONPATH": root})
    assert ran.returncode == 0, ran.stderr
    heading, *lines = [line.split("\t") for line in ran.stdout.splitlines()]
    assert heading == [column.key for column in _COLUMNS]
    assert [line[0] for line in lines] == ["equal", "short"]
    assert "\x1b" not in ran.stdout + ran.stderr
    assert json.loads((tmp_path / "bench.json").read_text())["dtype"] == "bfloat16"


def test_a_terminal_of_80_columns_has_the_rates_and_the_share(document):
    stream = Terminal()
    fast = {"tokens_per_second": 12_345_678.9, "floor_tokens_per_second": 23_456_789.0}
    rows = [{**row, **fast} for row in document["rows"]]
    print_table(Table(_COLUMNS, rows), None, None, stream, {"COLUMNS": "80", "TERM": "dumb"})
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("12,345,679") == text.count("23,456,789") == 2
    assert {"Rows", "Length", "Tokens/s", "Rows/s", "Floor", "Share"} <= set(text.split())


def test_the_caption_leaves_out_what_is_not_known(document):
    known = caption({**document, "avx512": True, "amx_bf16": False, "processor": "Fast"})
    assert known[2].startswith("Fast, ")
    assert known[2].endswith(" cores, AVX-512 yes, AMX-bf16 no")
    unknown = caption({**document, "avx512": None, "amx_bf16": None, "processor": "Fast"})
    assert unknown[2].endswith(" cores")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--lengths", "32,x"], 2, "--lengths '32,x' is not a list of numbers"),
        (["--lengths", ""], 2, "--lengths '' is not a list of numbers"),
        (["--lengths", "9" * 5000], 2, "is not a list of numbers"),
        (["--lengths", "32,9999"], 2, "--lengths 9999 is not in 1..512"),
        (["--seconds", "0"], 2, "--seconds must be more than 0, not 0"),
        (["--seconds", "soon"], 2, "Invalid value for '--seconds'"),
        (["--device", "tpu"], 2, "there is no device 'tpu'"),
        (["--dtype", "int8"], 2, "'int8' is not one of"),
        (["--preset", "f_net_basement"], 4, "there is no preset named f_net_basement"),
        (["--preset", "f_net_base_en", "--offline"], 4, "f_net_base_en is not on this machine"),
    ],
)
def test_a_wrong_call_is_one_line_with_its_code(arguments, code, message):
    ran = run_fnet("bench", *arguments)
    assert (ran.returncode, ran.stdout) == (code, "")
    error, *hint = ran.stderr.splitlines()
    assert error.startswith("fnet: error: ")
    assert message in error
    assert all(line.startswith("fnet: hint: ") for line in hint)


def test_ctrl_c_ends_a_long_bench_with_130():
    command = [*FNET, "bench", "--seconds", "600", "--lengths", "16"]
    with subprocess.Popen(
        command, env=clean_env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        for line in running.stderr:
            if "measuring" in line:
                break
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "fnet: interrupted"


def test_help_has_an_example():
    ran = run_fnet("bench", "--help", env={"NO_COLOR": "1"})
    assert "Example: fnet bench --preset f_net_mini_en" in " ".join(ran.stdout.split())
