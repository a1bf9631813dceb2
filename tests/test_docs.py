"""The documentation cannot drift: its links lead somewhere, and it is complete."""

from __future__ import annotations

import re

import pytest
from pages import PAGES, ROOT

import fnet_cli
from fnet_cli.errors import ExitCode


def test_the_readme_has_one_command_to_encode_and_one_to_test():
    text = (ROOT / "README.md").read_text()
    for name in ("encode", "test"):
        (block,) = re.findall(
            rf"<!-- command: {name} -->\n(?:<!-- .* -->\n)?```sh\n(.*?)```", text, re.DOTALL
        )
        assert len(block.splitlines()) == 1


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_relative_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_python_page_has_every_public_name():
    page = (ROOT / "docs/reference/python.md").read_text()
    for name in fnet_cli.__all__:
        assert f"\n::: fnet_cli.{name}\n" in page or f"`fnet_cli.{name}`" in page, name


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
