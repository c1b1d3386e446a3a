"""MkDocs' hook: takes pages from outside `docs/` into the site (README, CHANGELOG, data cards) and leads links to them.

The pages link to each other as files of the repository do, so that the same links work in a checkout.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "reporting.md",
    "data/README.md": "data.md",
    "benchmarks/comparison/README.md": "comparison-data.md",
}
"""Files of the repository, and the pages of the site that they become."""
SOURCES = {page: source for source, page in PAGES.items()}
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
"""A link to a file beside the page: its mark, text, path and anchor."""


def on_files(files: Any, config: Any) -> Any:
    """Add each page of `PAGES` to the site's files."""
    for source, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the page with links to pages of the site; raises `PluginError` where a file is not there."""
    source = SOURCES.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def lead(link: re.Match[str]) -> str:
        mark, text, path, anchor = link.groups()
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if not (ROOT / target).exists():
            raise PluginError(f"{source} links to {path}, which is not there")
        if target in PAGES:
            target = PAGES[target]
        elif target.startswith("docs/"):
            target = target.removeprefix("docs/")
        else:
            return text  # a file of the repository that is no page, such as NOTICE
        there = posixpath.relpath(target, posixpath.dirname(page.file.src_uri) or ".")
        return f"{mark}[{text}]({there}{anchor or ''})"

    return LINK.sub(lead, markdown)
