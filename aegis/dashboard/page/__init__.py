"""The page's HTML, CSS and JavaScript modules, as the browser reads them."""

from __future__ import annotations

from importlib.resources import files

_KINDS = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
PAGE = {
    file.name: (file.read_bytes(), _KINDS[file.name.rpartition(".")[2]])
    for file in files(__name__).iterdir()
    if file.name.rpartition(".")[2] in _KINDS
}
"""The content and the type of each file, by name"""
