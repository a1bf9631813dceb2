"""One HTML file that needs nothing else: styles, scripts, plotly.js and the data in it.

What comes from a user's file is only ever data: JSON in a block that no browser runs, put into the
page as text by the script. The page's policy lets run the scripts that were hashed here and no
other, and reach no network.
"""

from __future__ import annotations

import base64
import hashlib
import html
from pathlib import Path
from string import Template
from typing import Any

import orjson

_PAGE = Path(__file__).parent / "page"
_SCRIPTS = ("text.js", "charts.js", "rows.js", "page.js")
# SVG draws a few thousand points well, and needs no graphics memory. Beyond, WebGL does; its
# shaders' bindings are made by a function constructor, which the policy has to allow then.
MOST_SVG_POINTS = 6_000


def build_page(data: dict[str, Any], title: str) -> bytes:
    """Return a page, UTF-8, for what `page_data` returned."""
    from plotly.offline import get_plotlyjs

    library = _lines(get_plotlyjs())
    script = _lines("\n".join((_PAGE / name).read_text("utf-8") for name in _SCRIPTS))
    webgl = len(data["row"]) > MOST_SVG_POINTS
    template = Template((_PAGE / "page.html").read_text("utf-8"))
    page = template.substitute(
        title=html.escape(title),
        policy=html.escape(_policy([library, script], evaluating=webgl)),
        style=(_PAGE / "page.css").read_text("utf-8"),
        library=library,
        data=inert_json({**data, "webgl": webgl}),
        script=script,
    )
    return page.encode("utf-8", "replace")


def inert_json(data: Any) -> str:
    r"""Return JSON that ends no script element and begins no comment: `<` is `\u003c` in it."""
    # A text may hold half a surrogate pair, which is no Unicode.
    text = orjson.dumps(_clean(data)).decode()
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _clean(data: Any) -> Any:
    """Return data whose texts are all UTF-8."""
    if isinstance(data, str):
        return data.encode("utf-8", "replace").decode()
    if isinstance(data, dict):
        return {_clean(key): _clean(value) for key, value in data.items()}
    return [_clean(value) for value in data] if isinstance(data, list) else data


def _lines(script: str) -> str:
    """Return a script as a browser sees it, which hashes lines as they end there."""
    return script.replace("\r\n", "\n").replace("\r", "\n")


def _policy(scripts: list[str], *, evaluating: bool) -> str:
    hashes = " ".join(f"'sha256-{_hash(script)}'" for script in scripts)
    evaluated = " 'unsafe-eval'" if evaluating else ""
    return (
        f"default-src 'none'; script-src {hashes}{evaluated}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
