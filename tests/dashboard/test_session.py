"""Who may look and act: the token, its cookie, and pages of other sites."""

from __future__ import annotations

import pytest

from aegis.dashboard.page import PAGE
from aegis.lifecycle import open_store
from aegis.research import Inbox
from aegis.serving.access import draw_token
from aegis.types import utc_now
from tests.dashboard.conftest import make_page

ANSWER = {"number": 1, "text": "forty-two"}


@pytest.fixture
def question(workspace):
    """Return what tells how the agent's one question stands."""
    with open_store(workspace) as store:
        Inbox(store.database).ask("decision-1", "What is it?", utc_now(), 600)

    def status():
        with open_store(workspace) as store:
            return store.database.query("SELECT status FROM inbox")[0]["status"]

    return status


def test_the_token_goes_from_the_address_into_a_cookie(page):
    page.cookie = ""
    answer = page.get(f"/?token={page.token}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith(f"aegis-8701={page.token.lower()};")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    page.cookie = answer.headers["set-cookie"].split(";")[0]
    assert page.get("/").body == PAGE["index.html"][0]


def test_a_token_may_be_typed_where_the_cookie_is_gone(page):
    page.cookie = ""
    assert page.get("/").body == PAGE["login.html"][0]
    assert page.ask("POST", "/session", b"token=wrong", {}).status == 401
    assert page.ask("POST", "/session", f"token={page.token}".encode(), {}).status == 303


def test_a_missing_and_a_stale_token_show_and_change_nothing(page, question):
    stale = draw_token("dashboard", ["manage"])[0]
    for cookie in ("", f"aegis-8701={stale}", f"aegis-1={page.token}"):
        page.cookie = cookie
        for path in (
            "status",
            "decisions",
            "decisions/decision-1",
            "decisions/decision-1/read",
            "decisions/decision-1/like",
            "knowledge",
            "learning",
            "models",
            "inbox",
            "stream",
            "compare?one=a&other=b",
        ):
            assert page.get(f"/api/{path}").status == 401, path
        for path in ("answer", "settle", "pause", "relabel", "promote", "rollback"):
            assert page.post(f"/api/{path}", ANSWER).status == 401, path
        assert page.get("/").status == 401
    assert question() == "waiting"


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "cross-site"},
        {"host": "evil.example"},
    ],
)
def test_pages_of_other_sites_and_of_other_ports_change_nothing(page, question, headers):
    for path in ("answer", "settle", "pause", "relabel", "promote", "rollback"):
        assert page.post(f"/api/{path}", ANSWER, **headers).status == 403, path
    assert question() == "waiting"


def test_a_form_can_not_act(page, question):
    headers = {"content-type": "text/plain", "origin": "http://127.0.0.1:8701"}
    assert page.ask("POST", "/api/answer", b'{"number": 1, "text": "x"}', headers).status == 403
    assert question() == "waiting"


def test_a_read_only_dashboard_shows_and_changes_nothing(workspace, question):
    page = make_page(workspace, read_only=True)
    assert page.get("/api/inbox").json["questions"][0]["text"] == "What is it?"
    refused = page.post("/api/answer", ANSWER)
    assert (refused.status, refused.json["error"]["type"]) == (403, "read_only")
    assert question() == "waiting"
    with open_store(workspace) as store:
        assert Inbox(store.database).person_seen_at() is None


def test_every_answer_has_a_strict_policy(page):
    for path in ("/", "/page/main.js", "/page/style.css", "/api/status"):
        answer = page.get(path)
        assert answer.status == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert page.get("/page/../app.py").status == 404
    assert page.get("/page/app.py").status == 404
