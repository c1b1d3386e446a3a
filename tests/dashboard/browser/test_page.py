"""The dashboard in a real browser: each view, its owner's actions, and what must stay text. `make test-browser`."""

from __future__ import annotations

import time

import pytest

from aegis.dashboard.app import make_dashboard
from aegis.dashboard.place import Places
from aegis.lifecycle import open_store
from aegis.promotion import ModelRegistry, keep_answers, write_answers
from aegis.research import ApprovalQueue, Inbox
from aegis.research.proposals import Proposal
from aegis.serving.access import TokenBook, draw_token
from aegis.store import StateKey
from aegis.types import Outcome, utc_now
from tests.dashboard.browser.conftest import POINT, VIEWS, open_point, turn
from tests.dashboard.conftest import add_decision
from tests.serving.conftest import Running

pytestmark = pytest.mark.browser
EVIL = '<img src=x onerror="window.hurt = 1"><script>window.hurt = 2</script>'
SIZES = pytest.mark.parametrize(("scheme", "width"), [("light", 1180), ("dark", 1180), ("light", 390), ("dark", 390)])


@pytest.fixture
def asked(workspace):
    """Return the workspace with a question and a proposal whose words are dangerous."""
    with open_store(workspace) as store:
        bare = (
            "SELECT id FROM decisions WHERE id NOT IN (SELECT decision_id FROM inbox)"
            " AND id NOT IN (SELECT decision_id FROM proposals) ORDER BY seq LIMIT 2"
        )
        first, second = (row["id"] for row in store.database.query(bare))
        Inbox(store.database).ask(first, EVIL, utc_now(), 600)
        proposal = Proposal("epochs", 20, 30, EVIL, 1.0)
        number = ApprovalQueue(store.database).propose(second, proposal, utc_now(), 600)
    assert number is not None
    return workspace


@SIZES
@pytest.mark.parametrize("point", ["", POINT])
def test_every_view_fits_and_axe_finds_no_fault(open_page, asked, axe, scheme, width, point):
    page = open_page(scheme=scheme, width=width)
    page.evaluate(axe)
    for view in VIEWS:
        page.evaluate(f"location.hash = '#/{view}?point={point}'")
        page.wait_for_selector(f"nav a[aria-current][href^='#/{view}']")
        page.wait_for_selector("h1")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], view


def test_the_filters_fields_stand_in_one_line(open_page):
    page = open_page(f"look?point={POINT}")
    page.wait_for_selector("form.filter")
    fields = (
        "[...document.querySelectorAll('.filter :is(select, input:not([type=checkbox]), button, .box), .filter > a')]"
    )
    boxes = page.evaluate(
        f"{fields}.map((one) => one.getBoundingClientRect()).map(({{bottom, height}}) => [bottom, height])"
    )
    assert len(boxes) == 11
    rows = {}
    for bottom, height in boxes:
        rows.setdefault(round(bottom), set()).add(round(height))
    heights = set().union(*rows.values())
    assert (len(heights), len(rows) <= 3) == (1, True), rows


def test_commands_are_set_as_code_and_no_backtick_is_left(open_page):
    page = open_page("allow")
    page.wait_for_selector(".next code")
    for view in VIEWS:
        turn(page, f"{view}?point={POINT}")
        page.wait_for_selector(f"nav a[aria-current][href^='#/{view}']")
        assert "`" not in page.inner_text("main"), view


def test_ticks_have_the_digits_that_tell_them_apart(open_page):
    page = open_page("allow")
    written = page.evaluate(
        "import('/page/chart.js').then(({tickWriter}) => "
        "[[0.95, 1, 1.05], [0, 50, 100], [0, 2e-5, 4e-5], [0, 2e-7], [0.5], []].map((one) => one.map(tickWriter(one))))"
    )
    assert written[:3] == [["0.95", "1.00", "1.05"], ["0", "50", "100"], ["0.00000", "0.00002", "0.00004"]]
    assert written[3:] == [["0.0e+0", "2.0e-7"], ["0.5"], []]


def test_a_decision_is_opened_whole_from_the_list(open_page):
    page = open_page(f"look?point={POINT}")
    page.select_option("select[name=policy]", "hrm@1")
    page.click("text=Show")
    page.wait_for_selector(".decisions:not(:has(.who:not(.hrm)))")
    page.click(".decision .action >> nth=0")
    page.wait_for_selector("text=The state as a teacher reads it")
    assert "by hrm@1" in page.inner_text("h1")
    assert "broken" in page.inner_text("main")


def test_a_training_is_drawn_with_the_gates_line(open_page):
    page = open_page(f"learning?point={POINT}")
    assert page.text_content(".level-label") == "70%: the gate"
    assert page.locator(".card circle.mark.first").count() == 6
    assert page.locator(".matrix tbody tr").count() == 3
    assert page.locator(".event.promoted").count() == 1


def test_an_answer_and_an_approval_reach_the_agent_by_keyboard(open_page, asked):
    page = open_page("inbox")
    before = page.locator("textarea").count()
    page.focus("textarea >> nth=-1")
    page.keyboard.type("forty-two")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=is answered: the agent reads it")
    while page.locator("textarea").count() == before:  # until the inbox is drawn again
        page.wait_for_timeout(50)
    page.focus("input[maxlength='300'] >> nth=-1")
    page.keyboard.type("try it")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=is approved")
    with open_store(asked) as store:
        assert Inbox(store.database).unsettled()[-1].answer == "forty-two"
        settled = ApprovalQueue(store.database).unsettled()[-1]
        assert (settled.status, settled.note) == ("approved", "try it")


def test_a_roll_back_says_what_it_does_and_waits_for_a_reason(open_page, workspace):
    def serving():
        with open_store(workspace.point(POINT)) as store:
            return ModelRegistry(store, workspace.point(POINT)).serving()

    page = open_page(f"models?point={POINT}")
    page.click("text=Roll back to the teacher")
    assert "the teacher decides in place of hrm@1" in page.inner_text("dialog")
    page.keyboard.press("Escape")
    assert serving() is not None
    page.click("text=Roll back to the teacher")
    page.keyboard.type("it slipped")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=✓ the teacher decides from now on")
    assert serving() is None


def test_a_decision_appears_within_a_second(open_page, workspace):
    page = open_page(f"now?point={POINT}")
    page.wait_for_timeout(500)
    with open_point(workspace.folder) as decider:
        decided = decider.decide({"ticket": "how does this arrive at once"})
        began = time.monotonic()
        page.wait_for_selector(".decision:first-child >> text=arrive at once", timeout=5_000)
        took = time.monotonic() - began
        decider.report(decided, reward=0.75)
        page.wait_for_selector(".decision:first-child >> text=reward +0.75", timeout=5_000)
    assert took < 1, took


def test_text_from_the_world_stays_text(open_page, asked):
    with open_store(asked) as store:
        decision = add_decision(store, 0, EVIL, EVIL, {"goals": [EVIL], EVIL: EVIL}, actions=(EVIL, "b", "c"))
        store.record_outcome(
            Outcome(decision.id, "ok", 0, 1.0, detail=EVIL, result={"titles": [EVIL]}, components={EVIL: 1.0})
        )
        remember_evil(store)
    page = open_page("inbox")
    assert page.locator(f"h3:has-text('{EVIL[:14]}')").count() == 1
    views = ("now", "look", "look?id=decision-0", "models", "learning", f"look?action={'%3Cimg%20src=x%3E'}")
    for view in (*views, "knowledge", "knowledge?query=onerror", "look?text=onerror"):
        turn(page, view)
        page.wait_for_timeout(300)
        assert page.evaluate("window.hurt") is None, view
        assert page.locator("main img, main script, nav img").count() == 0, view
    page.wait_for_selector("text=goals: ")
    assert EVIL[:30] in page.inner_text("ol.decisions")
    turn(page, "knowledge?query=onerror")
    page.wait_for_selector("h2:has-text('What it knows of')")
    for part in ("ol.decisions strong", ".card h3", "main li .quiet"):  # an item, a goal, a gap
        assert EVIL[:14] in page.locator(part).first.inner_text(), part
    turn(page, "look?id=decision-0")
    page.wait_for_selector("text=The state as a teacher reads it")
    assert EVIL in page.inner_text("h1")


def remember_evil(store):
    """Let an item of knowledge, its source, a goal and a gap be dangerous, as a page that was found may be."""
    now = utc_now().isoformat()
    rows = {
        "knowledge": {"id": "evil", "topic": EVIL, "title": EVIL, "text": EVIL, "source": EVIL, "found_at": now},
        "goals": {
            "id": "evil",
            "episode": "e",
            "kind": EVIL,
            "title": EVIL,
            "topic": EVIL,
            "status": EVIL,
            "created_at": now,
        },
        "gaps": {"id": "evil", "term": EVIL, "topic": EVIL, "met_in": EVIL, "met_at": now},
    }
    with store.database.transaction() as connection:
        for table, fields in rows.items():
            marks = ", ".join("?" * len(fields))
            connection.execute(f"INSERT INTO {table} ({', '.join(fields)}) VALUES ({marks})", tuple(fields.values()))


def test_names_of_actions_points_and_versions_stay_text(open_page, workspace):
    evil = EVIL.replace('"', "'")
    place = workspace.point(POINT)
    with open_store(place) as store:
        store.state.keep(StateKey.RENAMED, {"refund": evil})
        add_decision(store, 500, evil, "hrm@1", {"ticket": evil}, actions=(evil, "b", "c"))
    for file in place.models.glob("*/heldout.json"):
        file.write_text(file.read_text("utf-8").replace("refund", evil), "utf-8")
    page = open_page(f"learning?point={POINT}")
    assert evil in page.inner_text(".matrix")
    for view in (
        f"look?point={POINT}&id=decision-500",
        f"models?point={POINT}",
        f"models?point={evil}",
        f"allow?point={evil}",
        f"now?point={evil}",
    ):
        turn(page, view)
        page.wait_for_timeout(300)
        assert page.evaluate("window.hurt") is None, view
        assert page.locator("main img, main script, nav img").count() == 0, view
    turn(page, f"look?point={POINT}&id=decision-500")
    page.select_option("form[aria-label=Relabel] select", "b")
    assert evil in page.text_content("form[aria-label=Relabel] select")


def test_names_stay_text_where_two_versions_are_compared(open_page, workspace):
    place, evil = workspace.point(POINT), EVIL.replace('"', "'")
    names = (evil, "b", "c")
    with open_store(place) as store:
        teacher = store.teacher().name
        for number in range(500, 503):
            add_decision(store, number, evil, teacher, {"ticket": evil}, actions=names, episode="evil")
        for row in ((0.8, 0.1, 0.1), (0.1, 0.8, 0.1)):
            answers = keep_answers([row] * 3, [0] * 3, ["evil"] * 3, names)
            ModelRegistry(store, place).promote(lambda name, folder: write_answers(folder, answers))  # noqa: B023  # at once
    page = open_page(f"models?point={POINT}")
    for select, version in enumerate(("hrm@2", "hrm@3")):
        page.select_option(f"form[aria-label=Compare] select >> nth={select}", version)
    page.click("form[aria-label=Compare] button")
    page.wait_for_selector("table.examples")
    assert page.inner_text("table.examples").count(evil) == 9  # the state, the teacher's action, one version's
    turn(page, f"learning?point={POINT}")
    assert evil in page.inner_text("main")
    assert page.evaluate("window.hurt") is None
    assert page.locator("main img, main script, nav img").count() == 0


def test_a_read_only_page_offers_no_action(open_browser, asked, wait_for):
    secret, token = draw_token("dashboard", ["manage"])
    running = Running(make_dashboard(Places(asked), TokenBook([token]), read_only=True))
    wait_for(lambda: running.server.started)
    try:
        page = open_browser().new_page()
        page.goto(f"{running.url}/?token={secret}")
        for view, shown in (("inbox", "epochs from 20 to 30"), (f"models?point={POINT}", "hrm@1")):
            turn(page, view)
            page.wait_for_selector(f"h3:has-text('{shown}')")
            assert page.locator("main button, main textarea").count() == 0
        page.context.close()
    finally:
        running.stop()


def test_a_stale_token_is_said(open_page):
    page = open_page()
    page.context.clear_cookies()
    page.route("**/api/status", lambda route: route.fulfill(status=401, body="{}", content_type="application/json"))
    page.evaluate("location.hash = '#/models'")
    page.wait_for_selector("text=This page's token is not valid any more")
