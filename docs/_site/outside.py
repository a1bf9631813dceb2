"""Takes documents of the repository that lie outside docs/ into the site, and links between both.

On disk and on a forge, links are those of the repository; in the site, of where a page is there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
# Where a document of the repository is in the site.
OUTSIDE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "training/README.md": "training.md",
    "training/held_out.sha256": "training/held_out.sha256",
    "NOTICE": "NOTICE.txt",
}
_INSIDE = {uri: path for path, uri in OUTSIDE.items()}
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the documents to the site's files."""
    for path, uri in OUTSIDE.items():
        files.append(File.generated(config, uri, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page with its links as they are in the site."""
    uri = page.file.src_uri
    place = posixpath.dirname(_INSIDE.get(uri, f"docs/{uri}"))

    def moved(link: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(place, link[1]))
        target = OUTSIDE.get(path, path.removeprefix("docs/"))
        return f"]({posixpath.relpath(target, posixpath.dirname(uri) or '.')}{link[2] or ''})"

    return _LINK.sub(moved, markdown)
