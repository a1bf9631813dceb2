"""Errors read like advice: each class has a section, a hint of its own, and a text held here."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fakes.content import files_under
from fakes.huggingface import FakeHub, Repo
from running import clean_env, run_fnet

import fnet_cli
from fnet_cli import errors
from fnet_cli.errors import FnetError

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/errors.md").read_text()
TREE = [
    item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, FnetError)
]
SECRET = "s3cr3t-0f-th3-us3r"
# What each class looks like to a user: the arguments, and the two lines.
SEEN = {
    "UsageError": (
        "presets pull --locked lock.json --revision 1",
        "--locked and --revision contradict each other",
        "--help after the command says what it takes",
    ),
    "InputDataError": (
        "encode none.jsonl -o out.parquet",
        "none.jsonl: no such file",
        "correct the name or the file, and run the command again",
    ),
    "PresetError": (
        "summary ./broken",
        "broken/config.json: not valid JSON: Expecting property name enclosed in double quotes: "
        "line 1 column 2 (char 1)",
        "fetch or make the preset again; fnet presets inspect shows what is in it",
    ),
    "PresetNotFoundError": (
        "summary ./nowhere",
        "there is no directory ./nowhere",
        "fnet presets list shows what is here",
    ),
    "UnsafePresetError": (
        "summary ./foreign",
        "foreign/config.json: dtype is a 'Evil'",
        "nothing of it was loaded or run: ask its author, or use another preset",
    ),
    "NetworkError": (
        "presets pull hf://owner/name --offline",
        "hf://owner/name cannot be pulled offline",
        "unset FNET_OFFLINE and HF_HUB_OFFLINE and leave --offline out, or bring an archive: "
        "fnet presets import FILE",
    ),
    "IntegrityError": (
        "verify-output nan.parquet",
        "nan.parquet: 1 vector has a NaN or infinite number: row 1",
        "encode it again",
    ),
    "OutputError": (
        "encode text.txt -o there.parquet",
        "there.parquet exists",
        "--overwrite replaces it",
    ),
}
# What cannot be brought about in a moment is raised in a command instead, and rendered as ever.
RAISED = {
    "FnetError": "fnet doctor looks at the installation and the machine",
    "DeviceMemoryError": "a smaller --batch-size or --sequence-length, or --device cpu, takes less",
    "OutOfMemoryError": "free memory, or raise the limit; fnet doctor says what there is",
    "AccessError": "log in, or set the credentials; fnet doctor says which were found",
    "InstallationError": "fnet doctor looks into it",
}


def said(ran: subprocess.CompletedProcess[str]) -> list[str]:
    return ran.stderr.splitlines()


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A directory with what goes wrong."""
    root = tmp_path_factory.mktemp("errors")
    (root / "broken").mkdir()
    (root / "broken/config.json").write_text("{")
    bundled = Path(fnet_cli.__file__).parent / "presets/data/f_net_mini_en/config.json"
    config = json.loads(bundled.read_text())
    config["config"]["dtype"] = {"module": "evil", "class_name": "Evil", "config": {}}
    (root / "foreign").mkdir()
    (root / "foreign/config.json").write_text(json.dumps(config))
    (root / "text.txt").write_text("a line\n")
    (root / "there.parquet").write_text("precious")
    nan = pa.array([[1.0, 2.0], [float("nan"), 1.0]], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"embedding": nan}), root / "nan.parquet")
    return root


def raising(name: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the program with a command that raises an error of that class."""
    code = (
        "import sys\n"
        "import fnet_cli.cli.summary as module\n"
        "from fnet_cli import errors\n"
        "from fnet_cli.cli import main\n"
        f"def refuse(*a, **k): raise errors.{name}('it does not work')\n"
        "module.print_table = refuse\n"
        "sys.argv = ['fnet', 'summary']\n"
        "main.entry_point()\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env=clean_env(env), capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("name", SEEN)
def test_an_error_of_each_class_is_two_lines_that_say_what_to_do(place, name):
    arguments, error, hint = SEEN[name]
    ran = run_fnet(*arguments.split(), cwd=place)
    assert said(ran) == [f"fnet: error: {error}", f"fnet: hint: {hint}"]
    assert ran.returncode == getattr(errors, name).exit_code


@pytest.mark.parametrize("name", RAISED)
def test_an_error_without_a_hint_of_its_own_has_that_of_its_class(name):
    ran = raising(name)
    assert said(ran) == ["fnet: error: it does not work", f"fnet: hint: {RAISED[name]}"]
    assert ran.returncode == getattr(errors, name).exit_code


def test_every_class_is_held_here():
    # A job that stops has tests of its own: its line is no error.
    assert {item.__name__ for item in TREE} == {*SEEN, *RAISED, "StoppedError"}


@pytest.mark.parametrize("kind", TREE)
def test_every_class_has_its_section_with_its_anchor_and_its_code(kind):
    file, _, anchor = kind.docs_anchor().partition("#")
    assert (ROOT / "docs" / file).is_file()
    (section,) = re.findall(
        rf'^## {kind.__name__}\n\n<a id="{anchor}"></a>\n(.*?)(?=^## |\Z)', PAGE, re.M | re.S
    )
    assert kind is FnetError or f"Exit code {int(kind.exit_code)}." in section
    assert kind is FnetError or "*What to do:*" in section


def test_every_class_has_a_hint_that_no_other_has():
    hints = [item.default_hint for item in TREE]
    assert all(hints)
    assert len(set(hints)) == len(hints)


def test_every_hint_that_is_written_says_something():
    names = {item.__name__ for item in TREE}
    for path in Path(fnet_cli.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                hints = [item.value for item in node.keywords if item.arg == "hint"]
                for hint in hints if node.func.id in names else []:
                    empty = isinstance(hint, ast.Constant) and not str(hint.value).strip()
                    assert not empty, f"{path}:{node.lineno}"


# --- FNET_DEBUG ---------------------------------------------------------------------------------


def test_debugging_adds_the_page_and_the_traceback(place):
    ran = run_fnet("summary", "./broken", cwd=place, env={"FNET_DEBUG": "1"})
    error, hint, docs, *trace = said(ran)
    assert [error, hint] == said(run_fnet("summary", "./broken", cwd=place))
    assert docs == "fnet: docs: docs/reference/errors.md#preset-error"
    assert trace[0] == "Traceback (most recent call last):"
    assert any(line.startswith("json.decoder.JSONDecodeError: ") for line in trace)
    assert trace[-1] == f"fnet_cli.errors.PresetError: {error.removeprefix('fnet: error: ')}"
    assert ran.returncode == 4


def test_debugging_shows_no_words_of_a_client_of_the_network(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({}))
    with FakeHub({"owner/tiny": Repo.of(files_under(tmp_path), private=True)}) as hub:
        # A token that no request can carry: the client's own error quotes it.
        env = {"HF_ENDPOINT": hub.url, "HF_TOKEN": f"{SECRET}\u0416", "FNET_DEBUG": "1"}
        ran = run_fnet("presets", "pull", "hf://owner/tiny", env={**env, "FNET_RETRIES": "0"})
    assert ran.returncode == 5
    assert "UnicodeEncodeError" in said(ran)
    assert SECRET not in ran.stderr
