"""`fnet doctor`: a report on any installation, also one that is broken."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from running import on_a_terminal, run_fnet

from fnet_cli.constants import __version__

ROOT = Path(__file__).parents[2]
SECRET = "s3cr3t-0f-th3-us3r"


def broken(directory: Path, **env: str) -> dict[str, str]:
    """Return an environment in which Keras cannot be imported, and neither can h5py."""
    directory.mkdir(exist_ok=True)
    (directory / "keras.py").write_text("raise ImportError('libcudart.so.12: not found')")
    (directory / "h5py.py").write_text("import os; os.abort()")
    path = os.pathsep.join([str(directory), str(ROOT)])
    return {"PYTHONPATH": path, "HOME": str(directory), **env}


def test_a_whole_installation_is_fine(tmp_path):
    ran = run_fnet("doctor", "--offline", "--json", env={"HOME": str(tmp_path)})
    document = json.loads(ran.stdout)
    assert (ran.returncode, document["fnet"]) == (0, __version__)
    findings = {finding["check"]: finding for finding in document["findings"]}
    assert list(findings) == [
        "python", "packages", *(["extras"] if "extras" in findings else []), "program", "backend",
        "devices", "processor", "memory", "settings", "caches", "temporary", "credentials",
        "proxies", "hubs", "locale", "terminal",
    ]  # fmt: skip
    assert findings["backend"]["verdict"] == "ok"
    assert findings["backend"]["details"]["backend"] == "tensorflow"
    assert findings["memory"]["details"]["total"] > 0
    assert set(findings["python"]) == {"check", "verdict", "found", "hint", "details"}


def only_keras(directory: Path) -> dict[str, str]:
    env = broken(directory)
    (directory / "h5py.py").unlink()
    return env


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What is told of a broken installation in a user's environment that is wrong as well."""
    environ = broken(
        tmp_path_factory.mktemp("broken"),
        FNET_RETRIES="many",
        HF_TOKEN=SECRET,
        https_proxy=f"http://user:{SECRET}@proxy.example:3128",
        KAGGLE_API_ENDPOINT="http://127.0.0.1:9",
    )
    return run_fnet("doctor", env=environ)


def test_a_broken_installation_is_told_line_by_line_and_ends_with_9(report):
    assert report.returncode == 9
    rows = [line.split("\t") for line in report.stdout.splitlines()]
    assert rows[0] == ["verdict", "check", "found", "hint"]
    problems = {row[1]: row[2] for row in rows if row[0] == "problem"}
    assert problems == {
        "packages": "h5py cannot be imported: it ended the process (SIGABRT)",
        "backend": "Keras on tensorflow does not start: ImportError: libcudart.so.12: not found",
        "settings": "FNET_RETRIES is 'many'",
    }
    error, hint = report.stderr.splitlines()
    assert error == f"fnet: error: packages: {problems['packages']} (and 2 more, listed above)"
    assert hint.startswith("fnet: hint: install fnet-cli anew")


def test_a_job_says_the_same_and_ends_alike(tmp_path):
    source = ROOT / "docs/examples/sentences.txt"
    ran = run_fnet("encode", source, "-o", tmp_path / "out.parquet", env=only_keras(tmp_path / "m"))
    assert ran.returncode == 9
    error, hint = ran.stderr.splitlines()
    assert error.endswith("Keras on tensorflow does not start: libcudart.so.12: not found")
    assert "fnet doctor" in hint


def test_with_settings_that_cannot_be_read_nobody_is_asked(report):
    assert "not asked: the settings cannot be read" in report.stdout


def test_no_secret_is_shown(report):
    assert SECRET not in report.stdout + report.stderr
    assert "found in HF_TOKEN" in report.stdout
    assert "http://***@proxy.example:3128" in report.stdout


def test_on_a_terminal_it_is_a_list_that_fits(tmp_path):
    env = broken(tmp_path / "home")
    shown = on_a_terminal("doctor", "--offline", **env)
    assert "\x1b[1;31mproblem" in shown
    plain = on_a_terminal("doctor", "--offline", **env, NO_COLOR="1").replace("\r", "")
    assert "\x1b" not in plain
    lines = plain.splitlines()
    assert max(map(len, lines[:-2])) <= 80  # the last two are the error and its hint
    first = next(line for line in lines if line.startswith("problem"))
    assert first.split()[:2] == ["problem", "packages"]
    assert any(line.startswith(" " * 23 + "-> ") for line in lines)
