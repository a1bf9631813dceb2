"""The documentation is also a site, whose pages need no network."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from pages import ROOT
from running import run_once

# What a page would load by itself; a link waits to be followed.
LOADS = r"<(?:script|img|iframe|source)\b[^>]*\bsrc=|<link\b[^>]*\bhref="


def build(target: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", target],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Build the site, or skip; with FNET_REQUIRE_SITE=1, as in CI, fail without its tools."""
    required = os.environ.get("FNET_REQUIRE_SITE") == "1"
    if not importlib.util.find_spec("mkdocs") and not required:
        pytest.skip("mkdocs is not installed; pip install -e '.[docs]' brings it")
    ran, target = run_once(tmp_path_factory, "site", build)
    assert ran.returncode == 0, ran.stderr
    return target


def test_no_page_loads_anything_from_elsewhere(site):
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    for page in pages:
        for loaded in re.findall(rf"(?:{LOADS})[\"']([^\"']*)", page.read_text()):
            assert not re.match(r"(\w+:)?//", loaded), f"{page}: {loaded}"
    for style in site.rglob("*.css"):
        assert not re.search(r"@import|url\(\"?(https?:)?//", style.read_text()), style


def test_the_front_page_is_the_readme_and_its_links_lead_into_the_site(site):
    front = (site / "index.html").read_text()
    assert "300 English sentences" in front
    for link in re.findall(r'href="([^":#]+)(?:#[^"]*)?"', front):
        assert (site / link).exists(), link
