"""The page's own files."""

from __future__ import annotations

from aegis.dashboard.page import PAGE


def test_the_page_loads_nothing_from_elsewhere_and_sets_no_html():
    for name, (content, _) in PAGE.items():
        text = content.decode()
        for word in ("https://", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, f"{name}: {word}"
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", ""), name
