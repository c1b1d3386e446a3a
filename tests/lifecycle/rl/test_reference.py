"""The version that improved ones are compared with: it moves on, and is given up where its rewards were corrected."""

from __future__ import annotations

from aegis.lifecycle.rl.reward_comparison import read_state
from aegis.promotion.registry import IMPROVEMENT
from aegis.types import Outcome


def test_a_reference_that_rested_on_rewards_which_were_corrected_is_given_up_again(life, improver):
    life.controlled = True
    life.decide(40)
    life.fall = -1.5
    life.learn(improver, 2)
    for _ in range(40):
        life.learn(improver, 1)
        if life.reference != "hrm@1":
            break
    assert life.reference == life.serving != "hrm@1"
    for example in life.store.examples():
        life.store.record_outcome(Outcome(example.decision.id, "ok", reward=-example.outcome.reward))
    improver.step()
    assert life.serving == life.reference == "hrm@1"
    event = life.registry.events()[-1]
    assert (event.kind, event.who) == ("rolled_back", IMPROVEMENT)
    assert "improved versions earn less than hrm@1" in event.reason


def test_several_references_that_rested_on_corrected_rewards_are_given_up_for_the_first_one(life, improver):
    life.controlled = True
    life.decide(40)
    references = ["hrm@1"]
    for _ in range(160):
        life.fall = -1.5 * len(references)  # each reference is surpassed by the versions after it
        life.learn(improver, 1)
        if life.reference != references[-1]:
            references.append(life.reference)
            life.decide(40)
        if len(references) == 3:
            break
    assert len(references) == 3
    for example in life.store.examples():
        life.store.record_outcome(Outcome(example.decision.id, "ok", reward=-example.outcome.reward))
    improver.step()
    assert life.reference == "hrm@1"
    life.fall = 3.0  # while it was no control there was no evidence against it: now there is
    for _ in range(40):
        life.learn(improver, 1)
        if life.serving == "hrm@1":
            break
    assert "improved versions earn less than hrm@1" in life.registry.events()[-1].reason


def test_a_version_that_surely_earns_more_is_what_a_later_roll_back_returns_to(life, improver):
    life.controlled = True
    life.decide(40)
    life.fall = -1.5  # improved versions earn more, whatever they learn
    life.learn(improver, 2)
    for _ in range(40):
        life.learn(improver, 1)
        if read_state(life.store).reference != "hrm@1":
            break
    event, good = life.registry.events()[-1], life.serving
    assert (event.kind, event.model, event.who) == ("promoted", good, IMPROVEMENT)
    assert "earn more than hrm@1: evidence" in event.reason
    assert read_state(life.store).reference == good != "hrm@1"
    life.fall = 0.0
    life.decide(40)
    life.learn(improver, 2)
    assert life.serving != good
    life.fall = 1.5
    for _ in range(60):
        life.learn(improver, 1)
        if life.registry.events()[-1].kind == "rolled_back":
            break
    assert life.serving == good
    assert f"earn less than {good}" in life.registry.events()[-1].reason
