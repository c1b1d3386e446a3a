"""One HTML file that shows what the page shows: its own scripts and style, with the answers that they would ask for.

The scripts are modules. An import map gives each one as a `data:` address, and the module that asks the server is
replaced by one that reads the answers out of the file. https://html.spec.whatwg.org/multipage/webappapis.html#import-maps
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

from aegis.atomic import replacing
from aegis.dashboard.page import PAGE
from aegis.dashboard.report.record import Record

_START = "report.js"
_MODULES = tuple(name for name in PAGE if name.endswith(".js") and name not in ("main.js", "api.js"))
_INSTEAD = {"api.js": "kept.js"}
"""Modules that a report replaces"""
_IMPORT = re.compile(r'(\bfrom\s+|^import\s+)"\./(\w+\.js)"', re.MULTILINE)


def write_document(record: Record, path: Path) -> None:
    """Write a record into one HTML file."""
    with replacing(path) as file:
        file.write_text(make_document(record), "utf-8")


def make_document(record: Record) -> str:
    """Return a record as one HTML file, which loads nothing from elsewhere and runs no script but the page's own."""
    imports = json.dumps({"imports": {f"aegis/{name}": _address(_module(name)) for name in _MODULES}})
    start, style = f'import "aegis/{_START}";', PAGE["style.css"][0].decode()
    policy = (
        f"default-src 'none'; script-src {_hash(imports)} {_hash(start)} data:; style-src {_hash(style)};"
        " img-src data:; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": html.escape(policy),
        "icon": _address(PAGE["icon.svg"][0], "image/svg+xml"),
        "style": f"<style>{style}</style>",
        "data": f'<script type="application/json" id="record">{_json(record)}</script>',
        "imports": f'<script type="importmap">{imports}</script>',
        "start": f'<script type="module">{start}</script>',
        "plain": "".join(_plainly(place) for place in record["status"][""]["places"]),
    }
    template = PAGE["report.html"][0].decode()
    return re.sub(r"<!-- (\w+) -->|\[\[(\w+)\]\]", lambda found: parts[found[1] or found[2]], template)


def _module(name: str) -> bytes:
    """Return a module whose imports have the names of the import map."""
    text = PAGE[name][0].decode()
    return _IMPORT.sub(lambda found: f'{found[1]}"aegis/{_INSTEAD.get(found[2], found[2])}"', text).encode()


def _address(content: bytes, kind: str = "text/javascript") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(record: Record) -> str:
    """Return a record as JSON in which nothing ends or begins an element."""
    return json.dumps(record, allow_nan=False).replace("<", "\\u003c")


def _plainly(place: dict[str, Any]) -> str:
    """Return a place in words, for a reader that runs no scripts."""
    savings = place["savings"]
    facts = (place["phase_words"], savings["words"], f"Until the next step: {place['next_milestone']}")
    lines = "".join(f"<p>{html.escape(one)}</p>" for one in facts)
    return f'<section class="card"><h2>{html.escape(place["title"])}</h2>{lines}</section>'
