"""The report in a real browser: one file, every view of every place."""

from __future__ import annotations

import pytest

from aegis.dashboard.place import Places
from aegis.dashboard.report.document import write_document
from aegis.dashboard.report.record import read_record
from aegis.lifecycle import open_store
from tests.dashboard.conftest import add_decision

pytestmark = pytest.mark.browser
EVIL = '</script><img src=x onerror="window.hurt = 1"><script>window.hurt = 2</script>'


@pytest.mark.parametrize(("scheme", "width"), [("light", 1180), ("dark", 390)])
def test_a_report_shows_every_view_and_asks_for_nothing(open_browser, workspace, tmp_path, axe, scheme, width):
    with open_store(workspace) as store:
        add_decision(store, 0, EVIL, EVIL, {EVIL: EVIL}, actions=(EVIL, "b", "c"))
    file = tmp_path / "report.html"
    write_document(read_record(Places(workspace)), file)
    page, asked, faults = open_browser(scheme, width).new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(file.as_uri())
    page.wait_for_selector("body[data-drawn]")
    assert [url for url in asked if not url.startswith(("data:", file.as_uri()))] == []
    assert faults == []
    assert page.locator("section.view").count() == 9  # one of all places, five of the agent's, three of the point's
    assert page.locator("svg[aria-label^='Accuracy by epoch']").count() == 1
    assert page.locator("main form, main button, main img").count() == 0
    assert page.evaluate("window.hurt") is None
    assert EVIL in page.inner_text("#now-agent")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")] == []
    page.context.close()
