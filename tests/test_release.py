"""What the dry run of a release refuses, and what the image is built from."""

from __future__ import annotations

import importlib.util
import re

import pytest
from pages import ROOT

_SPEC = importlib.util.spec_from_file_location("release", ROOT / ".ci/release.py")
release = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(release)

DATED = "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-01-31\n\n### Added\n\n- This.\n"


@pytest.mark.parametrize(
    ("text", "version", "final"),
    [
        (DATED, "1.2.3", True),
        (DATED, "1.2.3", False),
        (DATED.replace("1.2.3", "[1.2.3]"), "1.2.3", True),
        ("## Unreleased\n\n- New.\n", "0.1.0.dev0", False),
    ],
)
def test_a_changelog_that_says_what_is_new_is_taken(text, version, final):
    release.check_changelog(text, version, final=final)


@pytest.mark.parametrize(
    ("text", "version", "final", "message"),
    [
        ("## Unreleased\n\n", "0.1.0.dev0", False, "nothing under Unreleased"),
        (DATED, "1.2.4.dev0", True, "1.2.4.dev0 is no version for a release"),
        (DATED, "1.2.4", True, "no section '## 1.2.4 - YYYY-MM-DD'"),
        (DATED.replace("2026-01-31", "soon"), "1.2.3", True, "no section"),
        (DATED.replace("## 1", "- More.\n\n## 1"), "1.2.3", True, "entries are left"),
    ],
)
def test_a_changelog_that_is_not_ready_is_refused(text, version, final, message):
    with pytest.raises(release.RefusedError, match=message):
        release.check_changelog(text, version, final=final)


def test_the_image_gets_every_file_that_its_build_copies():
    sent = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", (ROOT / "Dockerfile").read_text(), re.M)
    for name in " ".join(copied).split():
        assert (ROOT / name).exists()
        assert f"!{name}" in sent
