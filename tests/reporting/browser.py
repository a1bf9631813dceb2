"""A real browser for pages, and what a page has asked it for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


@contextmanager
def running_browser() -> Iterator[Any]:
    """Run Chromium, or skip where there is none; with FNET_REQUIRE_BROWSER=1, as in CI, fail."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        reason = f"there is no browser: none of {', '.join(_NAMES)} is on the PATH"
        if os.environ.get("FNET_REQUIRE_BROWSER") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(_QUIET))
        yield browser
        browser.close()


class OpenPage:
    """A page in a browser. `requests` are the addresses it asked for, `errors` what it told.

    The script `before` runs before any of the page.
    """

    def __init__(self, browser: Any, file: Path, before: str = "", **how: Any) -> None:
        self.page = browser.new_page(reduced_motion="reduce", **how)  # points stay where they are
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._note)
        self.page.add_init_script(before)
        self.page.goto(file.as_uri())
        self.page.wait_for_selector("body[data-ready]", timeout=60_000)

    def _note(self, line: Any) -> None:
        if line.type == "error":  # graphics drivers tell of their speed
            self.errors.append(line.text)

    def text(self, place: str) -> str:
        return str(self.page.locator(place).inner_text())

    def texts(self, place: str) -> list[str]:
        found: list[str] = self.page.locator(place).all_inner_texts()
        return found

    def middle_of_point(self, row: int) -> tuple[float, float]:
        """Where on the screen a row's point is, once the page has come to rest there."""
        self.page.locator("#map").scroll_into_view_if_needed()
        # What scrolling sets off comes with the next frame, and would hide what is told of a point.
        frames = "new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)))"
        self.page.evaluate(frames)
        box = self.page.locator("#map .trace").first.locator(".point").nth(row).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def left_alone(self, file: Path) -> bool:
        """Whether nothing but the file itself was asked for, and nothing went wrong."""
        others = {url for url in self.requests if not url.startswith(("data:", "blob:"))}
        return others == {file.as_uri()} and self.errors == []
