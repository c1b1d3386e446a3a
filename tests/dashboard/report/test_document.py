"""A report as one HTML file: it holds what the page is answered, and loads and runs nothing else."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.dashboard.place import Places
from aegis.dashboard.report.document import make_document
from aegis.dashboard.report.record import DECISIONS, read_record
from aegis.lifecycle import open_store
from aegis.research import Inbox
from aegis.types import utc_now
from tests.dashboard.conftest import add_decision, make_page

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture
def document(workspace, point):
    with open_store(workspace) as store:
        add_decision(store, 10, EVIL, EVIL, {EVIL: EVIL}, actions=(EVIL, "b", "c"))
        Inbox(store.database).ask("decision-1", EVIL, utc_now(), 600)
    return make_document(read_record(Places(workspace)))


def find(pattern, document):
    (found,) = re.findall(pattern, document, re.DOTALL)
    return found


def read_back(document):
    return json.loads(find(r'<script type="application/json" id="record">(.*?)</script>', document))


def test_it_holds_what_the_page_is_answered(document, workspace):
    kept, page = read_back(document), make_page(workspace)
    places = page.get("/api/status").json["places"]
    assert [one["title"] for one in kept["status"][""]["places"]] == [one["title"] for one in places]
    for route in ("learning", "models", "knowledge", "inbox"):
        assert kept[route][""] == page.get(f"/api/{route}").json, route
    assert kept["learning"]["router"] == page.get("/api/learning?point=router").json
    assert kept["decisions"][""]["decisions"] == page.get("/api/decisions").json["decisions"][:DECISIONS]
    assert kept["status"][""]["read_only"] is True


def test_text_from_the_world_ends_no_element(document):
    assert EVIL not in document
    assert document.count("<script") == 3  # the record, the import map, the start
    assert read_back(document)["decisions"][""]["decisions"][0]["action"] == EVIL
    assert "<img" not in document.replace('<img src="data:', "")


def test_it_loads_nothing_from_elsewhere_and_runs_its_own_scripts_alone(document):
    assert re.findall(r'(?:src|href)="(?!data:)[^"]*"', document) == []
    policy = html.unescape(find(r'http-equiv="content-security-policy" content="([^"]*)"', document))
    for kind, found in (("importmap", r"{.*?}"), ("module", r"import.*?")):
        text = find(rf'<script type="{kind}">({found})</script>', document)
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    imports = json.loads(find(r'<script type="importmap">(.*?)</script>', document))["imports"]
    for address in imports.values():
        for wanted in re.findall(r'from "(.*?)"', base64.b64decode(address.partition(",")[2]).decode()):
            assert wanted in imports, wanted


def test_the_command_writes_a_report_and_plots_and_records_nothing(workspace, point, tmp_path):
    def count():
        with open_store(point) as store:
            return store.database.query("SELECT COUNT(*) AS n FROM outcomes")[0]["n"]

    before, own = count(), ["--workspace", str(workspace.folder)]
    file, plots = tmp_path / "report.html", tmp_path / "plots"
    result = CliRunner().invoke(app, ["report", "--html", str(file), "--plots", str(plots), *own])
    assert result.exit_code == 0, result.output
    assert "one file, which loads nothing from elsewhere" in result.output
    assert "router" in file.read_text("utf-8")
    assert sorted(one.name for one in plots.iterdir()) == ["agent-rewards.png", "takeover.png"]
    assert all(one.read_bytes().startswith(b"\x89PNG") for one in plots.iterdir())
    assert count() == before
    with open_store(workspace) as store:
        assert Inbox(store.database).person_seen_at() is None


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("decision-1", "--html", "x.html"), "leave out the decision"),
        (("--html", "nowhere/x.html"), "the folder nowhere does not exist"),
        (("--html", "x.html", "--workspace", "none"), "no workspace here"),
        (("--html", "x.html", "--point", "none"), "no decision point"),
    ],
)
def test_a_mistake_is_named_and_writes_nothing(workspace, tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    own = () if "--workspace" in options else ("--workspace", str(workspace.folder))
    result = CliRunner().invoke(app, ["report", *options, *own])
    assert (result.exit_code, said in result.output.replace("\n", " ")) == (2, True), result.output
    assert not (tmp_path / "x.html").exists()
