"""The documentation cannot drift: its commands run, its links lead somewhere, it is complete."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from builders import add_vocabulary, vocabulary, write_preset
from fakes.content import files_under
from fakes.huggingface import FakeHub, Repo
from fakes.kaggle import FakeKaggle
from fakes.object_store import ObjectStore
from running import clean_env

from fnet_cli.errors import ExitCode

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")])


def shell_blocks(page: Path) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


HOW_TO_COMMANDS = [block.strip() for block in shell_blocks(ROOT / "docs/how-to/encode.md")]
# A block of these goes on from what the one before it left.
STORY_NAMES = ("text", "search", "resume", "bad-rows", "verify", "memory")
STORIES = [f"docs/how-to/{name}.md" for name in STORY_NAMES]


@pytest.fixture
def copy_of_the_examples(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "docs/examples", tmp_path / "docs/examples")
    return tmp_path


def run_commands(text: str, directory: Path, **env: str) -> str:
    """Run lines in which `fnet` and `python` are this environment's; return what they print."""
    python = shlex.quote(sys.executable)
    text = re.sub(r"^python(?= -)", python, text, flags=re.MULTILINE)
    ours = r"\bfnet(?= (?:encode|tokenize|detokenize|verify-output))"
    text = re.sub(ours, f"{python} -m fnet_cli", text)
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=240,
    ).stdout


@pytest.mark.parametrize("command", HOW_TO_COMMANDS)
def test_the_how_to_commands_run(copy_of_the_examples, command):
    run_commands(command, copy_of_the_examples)


@pytest.mark.parametrize("page", STORIES)
def test_the_how_to_pages_run_from_start_to_end(copy_of_the_examples, page):
    run_commands("".join(shell_blocks(ROOT / page)), copy_of_the_examples)


@pytest.mark.parametrize("page", ["how-to/datasets.md", "how-to/parts.md", "scaling.md"])
def test_the_pages_about_large_jobs_run_with_a_store(copy_of_the_examples, page):
    example = (ROOT / "docs/examples/sentences.parquet").read_bytes()
    commands = "".join(shell_blocks(ROOT / "docs" / page))
    with ObjectStore("corpus") as store:
        store.put("data/lang=en/year=2024/part-0.parquet", example)
        env = {**store.variables, "STORE_URL": store.url}
        run_commands(commands, copy_of_the_examples, **env)


def test_the_commands_about_settings_run(tmp_path):
    page = ROOT / "docs/how-to/settings.md"
    program = f'fnet() {{ {shlex.quote(sys.executable)} -m fnet_cli "$@"; }}\n'
    user = tmp_path / "config.toml"
    run_commands(program + "".join(shell_blocks(page)), tmp_path, FNET_CONFIG=str(user))
    assert user.read_text() == "retries = 10\n\n[encode]\n"


def test_the_search_finds_what_is_alike_in_every_way_that_is_shown(copy_of_the_examples):
    printed = run_commands(
        "".join(shell_blocks(ROOT / "docs/how-to/search.md")), copy_of_the_examples
    ).splitlines()
    assert printed[:5] == printed[5:]
    assert any("doctor" in line for line in printed[:5])


def test_the_readme_search_prints_the_nearest_sentences(copy_of_the_examples):
    blocks = shell_blocks(ROOT / "README.md")
    (search,) = [block for block in blocks if "duckdb" in block]
    encode = "fnet encode docs/examples/sentences.txt -o embeddings.parquet\n"
    printed = run_commands(encode + search.replace(".venv/bin/", ""), copy_of_the_examples)
    assert "doctor" in printed


def test_the_readme_has_one_command_to_encode_and_one_to_test():
    text = (ROOT / "README.md").read_text()
    for name in ("encode", "test"):
        (block,) = re.findall(rf"<!-- command: {name} -->\n```sh\n(.*?)```", text, re.DOTALL)
        assert len(block.splitlines()) == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def cli_parameters() -> list[tuple[str, str]]:
    """Return (command path, option) for every option of every command."""
    from typer.main import get_command

    from fnet_cli.cli.app import app

    found: list[tuple[str, str]] = []

    def walk(command, path: str) -> None:
        for parameter in command.params:
            found.extend((path, name) for name in parameter.opts if name.startswith("--"))
        for name, child in getattr(command, "commands", {}).items():
            walk(child, f"{path} {name}")

    walk(get_command(app), "fnet")
    return found


def test_the_command_page_has_every_command_and_option():
    page = (ROOT / "docs/reference/cli.md").read_text()
    for path, option in cli_parameters():
        assert path == "fnet" or f"`{path}`" in page, path
        assert f"{option}`" in page or f"{option} " in page, f"{path} {option}"


@pytest.mark.parametrize("code", ExitCode)
def test_the_exit_code_page_has_every_code(code):
    page = (ROOT / "docs/reference/exit-codes.md").read_text()
    assert re.search(rf"^\| {int(code)} \|", page, re.MULTILINE)


def test_the_changelog_has_an_unreleased_section():
    assert "\n## Unreleased\n" in (ROOT / "CHANGELOG.md").read_text()


def test_the_commands_about_presets_run_in_the_order_of_their_page(tmp_path):
    page = ROOT / "docs/how-to/presets.md"
    write_preset(tmp_path / "served")
    add_vocabulary(tmp_path / "served", vocabulary())
    files = files_under(tmp_path / "served")
    kaggle = FakeKaggle({"keras/f_net/keras/f_net_base_en": {3: files}})
    hub = FakeHub({"acme/fnet-encoder": Repo.of(files)})
    caches = ("KAGGLEHUB_CACHE", "HF_HOME", "FNET_CACHE", "FNET_CONFIG")
    environment = {name: str(tmp_path / "caches" / name) for name in caches}
    program = f'fnet() {{ {shlex.quote(sys.executable)} -m fnet_cli "$@"; }}\n'
    with kaggle, hub:
        ran = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", program + "".join(shell_blocks(page))],
            cwd=tmp_path,
            env=clean_env(
                {
                    **environment,
                    "PYTHONPATH": str(ROOT),
                    "KAGGLE_API_ENDPOINT": kaggle.url,
                    "HF_ENDPOINT": hub.url,
                }
            ),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert ran.returncode == 0, ran.stderr
    assert "removed kaggle://keras/f_net/keras/f_net_base_en/3" in ran.stderr
