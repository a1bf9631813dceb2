"""What a page is made of: data that stays data, and a size that can be sent."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re

import numpy as np
import pytest
from outputs import report, write

from fnet_cli.reporting.building import inert_json

SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "a & b > c", "\u2028\u2029", "é"])
def test_json_in_a_page_has_no_markup_and_says_the_same(text):
    data = {text: [text, 1.5, None, {"a": text}]}
    made = inert_json(data)
    assert not set(made) & set("<>&\u2028\u2029")
    assert json.loads(made) == data


def test_half_a_character_does_not_stop_a_page():
    assert json.loads(inert_json(["a\ud83d"])) == ["a?"]


def test_a_full_page_stays_below_10_megabytes_and_its_policy_names_its_scripts(tmp_path):
    random = np.random.default_rng(0)
    vectors = random.standard_normal((5000, 16)).astype(np.float32)
    columns = {f"c{i}": ["長い文章と" * 60] * 5000 for i in range(12)}
    columns["text"] = ["долго " * 200] * 5000
    report(write(tmp_path / "x.parquet", vectors, columns), tmp_path / "x.html")
    page = (tmp_path / "x.html").read_text()
    assert len(page.encode()) < 10e6
    data = json.loads(re.search(r'id="data">(.*?)</script>', page).group(1))
    assert {len(text) for text in data["columns"]["text"]} == {data["characters"]}
    (policy,) = re.findall(r'Security-Policy" content="(.*?)"', page)
    hashes = [hashlib.sha256(script.encode()).digest() for script in SCRIPT.findall(page)]
    named = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes)
    assert html.unescape(policy).split("; ")[:2] == ["default-src 'none'", f"script-src {named}"]
    assert len(hashes) == 2
