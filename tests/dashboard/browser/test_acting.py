"""The views in which a person looks into decisions, and acts: pause, search, relabel, compare, knowledge."""

from __future__ import annotations

import shutil

import pytest
from typer.testing import CliRunner

from aegis.cli.main import app
from aegis.config import TrainingConfig
from aegis.dashboard.decisions.relabel import relabel
from aegis.door import Decider, DeciderConfig
from aegis.lifecycle import open_store
from aegis.lifecycle.opening import read_agent
from aegis.promotion import ModelRegistry
from aegis.store import LabelBook, StateKey, TrainingLog
from aegis.store.deferral import note_deferral
from aegis.types import Choice
from tests.dashboard.browser.conftest import POINT, RULES, SMALL, decide
from tests.dashboard.conftest import add_decision

pytestmark = pytest.mark.browser


def test_the_agent_is_paused_and_resumed_by_keyboard_and_a_point_says_why_it_can_not_be(open_page, workspace):
    def paused():
        with open_store(workspace) as store:
            return bool(store.state.text(StateKey.PAUSED))

    page = open_page("now")
    page.focus("text=Pause the agent")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Resume the agent")
    assert paused()
    assert "makes no decision until it is resumed" in page.inner_text("main")
    page.click("text=Resume the agent")
    page.wait_for_selector("text=Pause the agent")
    assert not paused()
    page.evaluate(f"location.hash = '#/now?point={POINT}'")
    page.wait_for_selector("text=Its own program decides when it asks")
    assert page.locator("text=Pause the agent").count() == 0


def test_words_and_why_it_was_deferred_find_decisions(open_page, workspace):
    place = workspace.point(POINT)
    with open_store(place) as store:
        names = ("refund", "escalate", "answer")
        decision = add_decision(store, 0, "answer", "decide", {"ticket": "a zebra crossed"}, actions=names)
        note_deferral(store.database, decision.id, Choice((0.2, 0.2, 0.6), "answer", "decide", deferred="unsure"))
    page = open_page(f"look?point={POINT}")
    page.fill("input[name=text]", "zebra cros")
    page.keyboard.press("Enter")
    page.wait_for_selector("ol.decisions:not(:has(> li + li)) >> text=a zebra crossed")
    assert "the HRM was not sure enough" in page.inner_text(".decision")
    page.evaluate(f"location.hash = '#/look?point={POINT}&why=unlike'")
    page.wait_for_selector("text=No decision passes this filter.")
    page.evaluate(f"location.hash = '#/look?point={POINT}&why=unsure'")
    page.wait_for_selector("ol.decisions:not(:has(> li + li)) >> text=a zebra crossed")


def test_a_decision_of_the_hrm_is_relabelled_by_hand(open_page, workspace):
    place = workspace.point(POINT)
    with open_store(place) as store:
        decided = next(one.decision for one in store.recent(20) if one.decision.policy == "hrm@1")
        before = LabelBook(store.database).count("decide")
    page = open_page(f"look?point={POINT}&id={decided.id}")
    page.wait_for_selector("text=hrm@1 read this: ")
    page.wait_for_selector("text=decisions in training, the newest ones.")
    page.select_option("form[aria-label=Relabel] select", "escalate")
    page.click("form[aria-label=Relabel] button")
    page.wait_for_selector("text=Corrected by hand: escalate was right")
    assert page.locator("form[aria-label=Relabel]").count() == 0
    with open_store(place) as store:
        assert LabelBook(store.database).count("decide") == before + 1


def test_a_training_learns_from_a_decision_that_was_relabelled(workspace, wait_for):
    place = workspace.point("small")
    training = TrainingConfig(epochs=1, batch_size=16)
    config = DeciderConfig(collect=10_000, model=SMALL, training=training)
    with Decider("small", tuple(RULES.values()), decide, workspace=workspace.folder, config=config) as decider:
        for number in range(120):
            decider.decide({"ticket": f"{list(RULES)[number % 3]} {number}"}, episode=f"user {number // 3}")
        with open_store(place) as store:
            wait_for(lambda: read_agent(store).get("plan"))
            add_decision(store, 0, "refund", "hrm@1", {"ticket": "angry 900"}, actions=tuple(RULES.values()))
    relabel(place, "decision-0", "escalate")
    trained = CliRunner().invoke(app, ["train", "--workspace", str(workspace.folder), "--point", "small"])
    with open_store(place) as store:
        (record,) = TrainingLog(store.database).all()
    assert record.report["labelled"] == 1, trained.output


def test_two_versions_are_compared_decision_by_decision(open_page, workspace):
    place = workspace.point(POINT)

    def copy(name, folder):
        shutil.copytree(place.models / "hrm@1", folder, dirs_exist_ok=True)

    with open_store(place) as store:
        ModelRegistry(store, place).promote(copy)
    page = open_page(f"models?point={POINT}")
    page.click("form[aria-label=Compare] button")
    page.wait_for_selector("text=They answer every one alike.")
    assert "Held out from both" in page.inner_text("main")


def test_knowledge_is_searched_by_keyboard(open_page):
    page = open_page("knowledge")
    page.fill("input[name=query]", "zzzz")
    page.keyboard.press("Enter")
    page.wait_for_selector("text=No item has these words.")
    page.click("text=Clear")
    page.wait_for_selector("text=What it learned last")
    assert page.locator(".cards .card").count() > 0


def test_calibration_and_rewards_are_drawn(open_page):
    page = open_page("learning")
    assert page.locator("svg[aria-label^='Mean reward over time'] circle.mark").count() >= 1
    page.evaluate(f"location.hash = '#/learning?point={POINT}'")
    page.wait_for_selector("svg[aria-label*='confidence is off by'] circle.mark")
    assert page.locator("text=The watch begins with the first audit").count() == 1
