"""Every command on a page of the documentation is run, or says why not."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from builders import add_vocabulary, vocabulary, write_preset
from fakes.content import files_under
from fakes.huggingface import FakeHub, Repo
from fakes.kaggle import FakeKaggle
from fakes.object_store import ObjectStore
from pages import NOT_RUN, PAGES, PATIENCE, ROOT, RUN, RUN_BY, blocks_of, run_script, script_of

from fnet_cli.config import Settings
from fnet_cli.presets.converting import convert_preset
from fnet_cli.presets.resolving import resolve_preset

pytestmark = pytest.mark.timeout(PATIENCE)
README = "README.md"
# Pages run in one directory, one after the other, for they begin alike or read the same file.
SEARCHES = ("docs/how-to/search.md", "docs/how-to/duckdb.md")
OUTPUTS = ("docs/reference/python.md", "docs/reference/output.md")
NEED_A_STORE = {"docs/how-to/datasets.md", "docs/how-to/parts.md", "docs/scaling.md"}
NEED_HUBS = {"docs/how-to/presets.md", "docs/how-to/air-gapped.md", "docs/how-to/hugging-face.md"}
# What these need is not installed everywhere, so that they are run where it is.
NEED_VECTOR_STORES = ("docs/how-to/lancedb.md", "docs/how-to/pgvector.md")
_PIPELINES = ("python", "ray-data", "spark", "dask", "hugging-face-libraries")
ELSEWHERE = {
    **dict.fromkeys(NEED_VECTOR_STORES, "tests/test_vector_stores.py"),
    **{f"docs/how-to/{name}.md": "tests/peers/test_frameworks.py" for name in _PIPELINES},
}
SETTINGS = "docs/how-to/settings.md"
_APART = {README, SETTINGS, *SEARCHES, *OUTPUTS, *NEED_A_STORE, *NEED_HUBS, *ELSEWHERE}
ALONE = [(page,) for page in PAGES if page not in _APART and script_of([page])]


@pytest.mark.parametrize("pages", [*ALONE, OUTPUTS], ids=lambda pages: pages[0])
def test_the_commands_of_a_page_run_in_its_order(tmp_path, pages):
    run_script(script_of(pages), tmp_path)


def test_the_readme_runs_and_its_search_finds_what_is_alike(tmp_path):
    assert "doctor" in run_script(script_of([README]), tmp_path)


def test_the_page_about_settings_changes_the_users_file(tmp_path):
    user = tmp_path / "config.toml"
    run_script(script_of([SETTINGS]), tmp_path, {"FNET_CONFIG": str(user)})
    assert user.read_text() == "retries = 10\n\n[encode]\n"


@pytest.mark.parametrize("page", sorted(NEED_A_STORE))
def test_the_pages_about_large_jobs_run_with_a_store(tmp_path, page):
    with ObjectStore("corpus") as store:
        example = (ROOT / "docs/examples/sentences.parquet").read_bytes()
        store.put("data/lang=en/year=2024/part-0.parquet", example)
        run_script(script_of([page]), tmp_path, {**store.variables, "STORE_URL": store.url})


@contextmanager
def hubs(directory: Path) -> Iterator[dict[str, str]]:
    """Serve small presets by the handles that the pages name; yield the hubs' addresses."""
    write_preset(directory / "keras")
    add_vocabulary(directory / "keras", vocabulary())
    preset = resolve_preset(str(directory / "keras"), Settings())
    convert_preset(preset, directory / "transformers", "transformers")
    with (
        FakeKaggle(
            {"keras/f_net/keras/f_net_base_en": {3: files_under(directory / "keras")}}
        ) as kaggle,
        FakeHub({"acme/fnet-encoder": Repo.of(files_under(directory / "transformers"))}) as hub,
    ):
        yield {"KAGGLE_API_ENDPOINT": kaggle.url, "HF_ENDPOINT": hub.url}


@pytest.mark.parametrize("page", sorted(NEED_HUBS))
def test_the_pages_about_presets_run_with_hubs(tmp_path, page):
    with hubs(tmp_path) as addresses:
        run_script(script_of([page]), tmp_path, addresses)


def test_the_search_finds_what_is_alike_in_every_way_that_is_shown(tmp_path):
    printed = run_script(script_of(SEARCHES), tmp_path).splitlines()
    assert printed[:5] == printed[5:10] == printed[10:15]
    assert any("doctor" in line for line in printed[:5])


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page):
    text = PAGES[page].read_text()
    blocks = blocks_of(page)
    assert len(blocks) * 2 == len(re.findall(r"^\s*```", text, re.MULTILINE)), "a fence is indented"
    for block in blocks:
        # Of what is run, the languages have one name; the generated page of commands has usages.
        assert block.language in {*RUN, "", "json", "toml", "dockerfile", "yaml", "console"}
        assert block.language != "console" or page == "docs/reference/cli.md"
        if not block.language:
            commands = r"^(\$ )?(fnet|pip|python3?|docker|apt|curl) "
            assert not re.search(commands, block.text, re.MULTILINE), "name its language: sh"
        if block.marker.startswith(NOT_RUN):
            assert len(block.marker.removeprefix(NOT_RUN).split()) > 1, "say why"
        if block.marker.startswith(RUN_BY):
            runner = ROOT / block.marker.removeprefix(RUN_BY)
            assert Path(page).name in runner.read_text(), f"{runner} does not name the page"


@pytest.mark.parametrize(("page", "runner"), ELSEWHERE.items())
def test_a_page_that_is_run_elsewhere_is_named_there(page, runner):
    assert Path(page).stem in (ROOT / runner).read_text()


def commands_not_run() -> list[str]:
    """Return the lines of `fnet` in blocks that no test runs."""
    blocks = [block for page in PAGES for block in blocks_of(page) if block.language == "sh"]
    text = "\n".join(block.text for block in blocks if block.marker.startswith(NOT_RUN))
    calls = re.findall(r"^(?:.*\| )?(fnet [a-z][^|&>\n]*)", text.replace("\\\n", ""), re.MULTILINE)
    return sorted(set(calls))


@pytest.mark.parametrize("line", commands_not_run())
def test_a_command_that_is_not_run_has_options_and_values_that_exist(line):
    from typer.main import get_command

    from fnet_cli.cli.app import app

    arguments = shlex.split(line, comments=True)[1:]
    command: Any = get_command(app)
    while hasattr(command, "commands") and arguments[0] in command.commands:
        command = command.commands[arguments.pop(0)]
    with command.make_context("fnet", arguments):
        pass
