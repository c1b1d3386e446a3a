"""The phases of a workspace over the parts below: collect with the teacher, train, judge, switch, go on by itself.

collection   a workspace opened, its agent made and run
data         decisions to learn from, their split, and whether they are fit
audit        states on both sides of the split, and the accuracy that rests on them
judgement    phases 2 and 3 in this process: train, judge, let serve
owner        whose a workspace is, and whether a teacher may decide there
policy       the teacher, or the HRM that serves, loaded
refusal      what the gate said of a training, rule by rule
standing     where a workspace stands, read from the workspace alone
trainer      phase 2 in a process of its own, resumed after a kill
runner       the agent that runs through all phases by itself; supervisor, takeover and guard are its parts
drift        states unlike those in training, handed to the teacher and counted
event        what the runner tells those who watch it; tensorboard draws it
tuning       what becomes of the agent's proposals: decided by rule, put in use, tried, kept or undone
sharpening   the policy that phase 4 draws from
experience   rewarded decisions, as an update learns from them
earning      whether improved versions earn less than what they began with
improver     phase 4 in a process of its own; learning: what the runner needs for it
improvement  phase 4 in simulated worlds
deciding     which policy decides now, and the next one after a roll-back
rollout      shadow, canary and full: a candidate before the switch; stage: where it stands
waiting      what waits for a person, told of while it waits
watch        the teacher asked beside the HRM that serves; warnings and roll-backs
conversation what a person asks and tells the agent

Its rooms are imported when one of their names is first used: a status needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.lifecycle.audit import DataAudit, audit_data
    from aegis.lifecycle.collection import (
        describe_collection,
        existing,
        find_serving,
        make_agent,
        note_collection,
        open_store,
        run_agent,
    )
    from aegis.lifecycle.data import (
        DataCheck,
        TrainingData,
        check_data,
        check_enough,
        choose_data,
        name_teacher,
        read_training_data,
        read_workspace_data,
        shipped_data,
        split_data,
    )
    from aegis.lifecycle.drift import DriftCount, DriftWatch, read_drift_count
    from aegis.lifecycle.earning import is_learning
    from aegis.lifecycle.event import RunEvent
    from aegis.lifecycle.improvement import Improved, improve
    from aegis.lifecycle.judgement import TrainingOutcome, train_and_judge, train_candidate
    from aegis.lifecycle.memory import peak_rss_mb
    from aegis.lifecycle.owner import check_owner
    from aegis.lifecycle.policy import claim_for, heldout_examples, load_serving, load_teacher_for
    from aegis.lifecycle.refusal import Refusal, read_refusals, verdict_lines
    from aegis.lifecycle.runner import Runner
    from aegis.lifecycle.stage import Trial, read_trial
    from aegis.lifecycle.standing import (
        Standing,
        TrainingProgress,
        describe_rare_actions,
        find_rare_actions,
        read_standing,
    )
    from aegis.lifecycle.trainer import TrainerProcess, carry_out_training
    from aegis.lifecycle.watch import ServingWatch, describe_watch, read_watch

_ROOMS = {
    "audit": ("DataAudit", "audit_data"),
    "collection": (
        *("describe_collection", "existing", "find_serving", "make_agent", "note_collection", "open_store"),
        "run_agent",
    ),
    "data": (
        *("DataCheck", "TrainingData", "check_data", "check_enough", "choose_data", "name_teacher"),
        *("read_training_data", "read_workspace_data", "shipped_data", "split_data"),
    ),
    "drift": ("DriftCount", "DriftWatch", "read_drift_count"),
    "earning": ("is_learning",),
    "event": ("RunEvent",),
    "improvement": ("Improved", "improve"),
    "judgement": ("TrainingOutcome", "train_and_judge", "train_candidate"),
    "memory": ("peak_rss_mb",),
    "owner": ("check_owner",),
    "policy": ("claim_for", "heldout_examples", "load_serving", "load_teacher_for"),
    "refusal": ("Refusal", "read_refusals", "verdict_lines"),
    "runner": ("Runner",),
    "stage": ("Trial", "read_trial"),
    "standing": ("Standing", "TrainingProgress", "describe_rare_actions", "find_rare_actions", "read_standing"),
    "trainer": ("TrainerProcess", "carry_out_training"),
    "watch": ("ServingWatch", "describe_watch", "read_watch"),
}

__all__ = [
    "DataAudit",
    "DataCheck",
    "DriftCount",
    "DriftWatch",
    "Improved",
    "Refusal",
    "RunEvent",
    "Runner",
    "ServingWatch",
    "Standing",
    "TrainerProcess",
    "TrainingData",
    "TrainingOutcome",
    "TrainingProgress",
    "Trial",
    "audit_data",
    "carry_out_training",
    "check_data",
    "check_enough",
    "check_owner",
    "choose_data",
    "claim_for",
    "describe_collection",
    "describe_rare_actions",
    "describe_watch",
    "existing",
    "find_rare_actions",
    "find_serving",
    "heldout_examples",
    "improve",
    "is_learning",
    "load_serving",
    "load_teacher_for",
    "make_agent",
    "name_teacher",
    "note_collection",
    "open_store",
    "peak_rss_mb",
    "read_drift_count",
    "read_refusals",
    "read_standing",
    "read_training_data",
    "read_trial",
    "read_watch",
    "read_workspace_data",
    "run_agent",
    "shipped_data",
    "split_data",
    "train_and_judge",
    "train_candidate",
    "verdict_lines",
]

__getattr__ = on_demand(__name__, _ROOMS)
