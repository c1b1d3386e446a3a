"""The block that `aegis status` and the prompt's `training` show, line by line."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from aegis.cli.display.block import FALLING_REWARDS, describe_agent, describe_collected, explain_rewards, training_block
from aegis.lifecycle import Standing, TrainingProgress
from aegis.lifecycle.standing import ImprovementProgress
from aegis.research.run import AgentStanding

COLLECTING = AgentStanding(
    workspace="workspace",
    phase=1,
    running=True,
    process=7,
    doing="deciding",
    teacher="gpt2",
    serving="gpt2",
    using_hrm=False,
    collected=347,
    target=1100,
    decisions=347,
    actions={"web_search": 201, "idle": 80, "ask_human": 46, "propose_improvement": 20},
    mean_gained=2.14,
    hrm_decisions=0,
    hrm_actions={},
    mean_reward=None,
    training=None,
    rl_updates=0,
)
TRAINING = TrainingProgress(
    number=1,
    status="running",
    active=True,
    decisions=1100,
    epoch=7,
    epochs=20,
    loss=0.95123,
    heldout_accuracy=0.8091,
    checkpoints=("epoch-005",),
    verdict="",
)


def test_phase_1_has_the_required_lines():
    assert "\n".join(training_block(COLLECTING)) == (
        """\
======================================================================
HRM TRAINING STATUS
======================================================================
  Current Phase: Phase 1: Data Collection (Bootstrap from gpt2)
  Using HRM: No (using gpt2)
  Training examples collected: 347/1100
  Progress: 31.5%

Data Collection Details:
  Total examples: 347
  Action distribution:
    web_search: 201
    idle: 80
    ask_human: 46
    propose_improvement: 20
  Avg knowledge per example: 2.14

  Next milestone: 753 examples until training
======================================================================"""
    )


def test_a_roll_back_and_a_files_decisions_are_named_where_the_numbers_would_puzzle():
    lines = training_block(replace(COLLECTING, rolled_back="hrm@1 was rolled back (ada): odd", learned_from_file=1100))
    assert lines[4:7] == [
        "  Using HRM: No (using gpt2)",
        "    hrm@1 was rolled back (ada): odd",
        "  Training examples collected: 347/1100 (the last training had 1100 others, of a file)",
    ]


def test_phase_2_shows_the_progress_of_the_training():
    lines = training_block(replace(COLLECTING, phase=2, collected=1180, training=TRAINING))
    for line in (
        "  Current Phase: Phase 2: HRM Training (Imitation Learning)",
        "  Progress: 100.0%",
        "  Training: 1 (running), on 1100 examples (those held out among them)",
        "  Epoch: 7/20",
        "  Loss: 0.9512",
        "  Held-out accuracy: 80.91%",
        "  Checkpoints: epoch-005",
        "  Verdict: none yet",
        "  Next milestone: the gate, after the last epoch",
    ):
        assert line in lines


def test_a_training_without_a_process_is_called_interrupted():
    lines = training_block(replace(COLLECTING, phase=2, training=replace(TRAINING, active=False, loss=None)))
    assert (
        "  Training: 1 (interrupted: the next start goes on with it), on 1100 examples (those held out among them)"
        in lines
    )
    assert "  Loss: unknown" in lines


def test_why_the_first_training_waits_is_said():
    assert "  ⚠ 200 decisions are too few" in training_block(replace(COLLECTING, needs="200 decisions are too few"))


def test_a_training_of_a_file_is_no_collection_at_its_beginning():
    ended = replace(TRAINING, status="switched", active=False, learned=820, heldout=280)
    served = replace(COLLECTING, phase=3, collected=0, using_hrm=True, serving="hrm@1", training=ended)
    lines = training_block(replace(served, learned_from_file=1100))
    assert "  Current Phase: Phase 3: Switch (done: the HRM decides next)" in lines
    assert "  Training examples collected: none here; the training had 1100, of a file" in lines
    assert not any("Progress" in line for line in lines)
    assert "  Training: 1 (switched), on 1100 examples (820 to learn from, 280 held out)" in lines


def test_phase_4_shows_the_verdict_the_rewards_and_how_to_begin_learning():
    ended = replace(TRAINING, status="switched", active=False, epoch=20, verdict="good\x1b[31m enough")
    switched = replace(
        COLLECTING, phase=4, using_hrm=True, serving="hrm@1", training=ended, hrm_decisions=12, mean_reward=0.421,
        hrm_actions={"idle": 12},
    )  # fmt: skip
    lines = training_block(switched)
    for line in (
        "  Using HRM: Yes (hrm@1)",
        "  Verdict: good[31m enough",
        "  Decisions by the HRM: 12",
        "  RL updates: 0",
        "  Mean reward: +0.42",
        "  Current Phase: Phase 4: RL Fine-tuning (not begun)",
        "  Next milestone: the beginning of phase 4: `aegis start` learns beside its decisions, `aegis improve` in"
        " simulated worlds",
    ):
        assert line in lines


def test_updates_of_a_version_that_never_served_are_not_counted_for_the_serving_version():
    switched = replace(COLLECTING, phase=3, using_hrm=True, serving="hrm@1", unserved_updates={"hrm@2": 23})
    assert "  RL updates: 0 (hrm@2 has 23 and never served)" in training_block(switched)


def test_decisions_that_the_teacher_labelled_are_counted_beside_the_teachers_own():
    lines = training_block(replace(COLLECTING, labelled=3))
    assert "  Total examples: 347 by gpt2, and 3 of the HRM's that it labelled" in lines
    lines = training_block(replace(COLLECTING, labelled=6, labelled_by_person=6))
    assert "  Total examples: 347 by gpt2, and 6 of the HRM's that a person labelled" in lines
    lines = training_block(replace(COLLECTING, labelled=6, labelled_by_person=2))
    assert "  Total examples: 347 by gpt2, and 6 of the HRM's that were labelled, 2 of them by a person" in lines


def make_progress(**fields):
    rewards = {
        "improved": 1.2, "reference": 0.9, "improved_decisions": 200, "reference_decisions": 200,
        "difference": [0.1, 0.5], "evidence": 0.4, "evidence_needed": 20.0,
    }  # fmt: skip
    last = {"mean_reward": 1.3, "entropy": 0.4, "kl": 0.01, "loss": None, "fault": ""}
    given: dict[str, Any] = {"reference": "hrm@1", "active": True, "rewards": rewards, "last": last}
    return ImprovementProgress(**(given | {"baseline_decisions": 200, "pause": 0} | fields))


def test_phase_4_shows_the_rewards_of_improved_versions_against_their_reference():
    switched = replace(COLLECTING, phase=4, using_hrm=True, serving="hrm@9", rl_updates=8, improvement=make_progress())
    lines = training_block(switched)
    for line in (
        "  Current Phase: Phase 4: RL Fine-tuning",
        "  RL updates: 8",
        "  Mean reward of the last 200 improved decisions: +1.20",
        "    of hrm@1, that it began with: +0.90 (200)",
        "    evidence that they earn less: 0.4, rolled back at 20",
        "  Last update: mean reward 1.3000, entropy 0.4000, KL 0.0100",
        "  Next milestone: the next update",
    ):
        assert line in lines


def test_phase_4_shows_its_next_milestone_and_why_an_update_was_undone():
    few = {"improved": None, "reference": 0.9, "improved_decisions": 0, "reference_decisions": 30, "difference": None}
    before = make_progress(rewards=few, last={})
    switched = replace(COLLECTING, phase=4, using_hrm=True, serving="hrm@1", improvement=before)
    said = "  Next milestone: 170 rewards of hrm@1 until the first update: they say what must be beaten"
    assert said in training_block(switched)
    paused = replace(switched, improvement=make_progress(pause=40, last={"fault": "its loss is nan", "kl": 0.0}))
    assert "  Next milestone: 40 decisions until it learns on, after a roll-back" in training_block(paused)
    assert "    undone: its loss is nan" in training_block(paused)


def test_an_agent_that_does_not_run_is_shown_as_not_running():
    assert describe_agent(COLLECTING) == "running (process 7): deciding"
    assert describe_agent(replace(COLLECTING, running=False)) == "not running"


def test_more_decisions_than_needed_are_not_shown_as_a_share():
    assert describe_collected(COLLECTING) == "347/1100"
    assert describe_collected(replace(COLLECTING, collected=1100)) == "1100/1100"
    assert describe_collected(replace(COLLECTING, collected=172, target=170)) == "172, more than the 170 needed"
    lines = training_block(replace(COLLECTING, phase=2, collected=1149, target=1119, training=TRAINING))
    assert "  Training examples collected: 1149, more than the 1119 needed" in lines


def test_a_training_that_began_with_more_decisions_than_were_asked_for_is_the_reason_for_their_number():
    begun = replace(COLLECTING, phase=2, collected=1149, target=1119, training=replace(TRAINING, decisions=1119))
    assert describe_collected(begun) == "1149; training 1 began with 1119"
    assert describe_collected(replace(begun, collected=1119)) == "1119/1119"


def test_phase_4_that_does_not_improve_what_serves_says_that_it_goes_on_and_what_would_let_it():
    served = replace(COLLECTING, phase=4, using_hrm=True, serving="mixed@3", training=None)
    why = 'it improves an HRM alone, which `student = "hrm"` trains'
    lines = training_block(served)
    assert f"  Current Phase: Phase 4: RL Fine-tuning (not for mixed@3, which goes on deciding: {why})" in lines
    assert f"  Next milestone: none: {why}" in lines


def test_falling_rewards_are_explained_only_if_most_searches_find_nothing_new():
    assert explain_rewards(COLLECTING) == ""
    assert explain_rewards(replace(COLLECTING, searches=19, vain_searches=19)) == ""
    assert explain_rewards(replace(COLLECTING, searches=60, vain_searches=30)) == ""
    emptied = replace(COLLECTING, searches=60, vain_searches=31, using_hrm=True, serving="hrm@1", phase=4)
    assert explain_rewards(emptied).startswith("31 of the last 60 searches found nothing new")
    assert FALLING_REWARDS in explain_rewards(emptied)
    plain = Standing(**{one.name: getattr(emptied, one.name) for one in fields(Standing)})
    assert explain_rewards(plain) == ""  # an agent that searches nothing
    for standing in (emptied, replace(emptied, using_hrm=False, phase=1)):
        assert training_block(standing).count(f"    {explain_rewards(emptied)}") == 1


def test_in_the_mode_observe_the_teacher_decides_and_the_hrm_answers_silently():
    lines = training_block(replace(COLLECTING, phase=3, silent="hrm@1"))
    assert "  Current Phase: Phase 3: Switch (in the mode observe: hrm@1 only answers silently)" in lines
    assert "  Using HRM: No (using gpt2)" in lines
    assert '  Next milestone: the mode "assist" or "switch", when you set it' in lines
