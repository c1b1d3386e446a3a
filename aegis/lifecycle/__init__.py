"""The phases of a decision point: collect with the teacher, train, judge, switch, improve. It knows no agent.

policies/    which policy decides now, loaded and wrapped
training/    phase 2: data, leakage check, training beside the agent, the candidate judged
serving/     a model before the switch (rollout) and after it (monitor, drift)
rl/          phase 4: updates from rewards, in the workspace and in simulated worlds
doctor/      what is damaged in a workspace, and its repair
opening      open a workspace's store
point        the actions of a decision point
standing     where a workspace stands, read from the workspace alone; milestone: in words
duties       what is done beside the decisions, whoever decides
handover     who decides, and who takes over when another version serves
card         what an export says of its decisions
exported     a version in a folder of its own, to decide elsewhere
event        what happens, for those who follow it; tensorboard draws it
owner, lock  which teacher a workspace belongs to; which process works in it

A module is imported when one of its names is first used: a status needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.lifecycle.card import describe_collection
    from aegis.lifecycle.event import RunEvent
    from aegis.lifecycle.opening import existing, find_serving, open_store
    from aegis.lifecycle.owner import check_owner
    from aegis.lifecycle.policies.loading import heldout_examples, load_teacher_for
    from aegis.lifecycle.rl.reward_comparison import is_learning
    from aegis.lifecycle.rl.simulated import SimulationPlan, SimulationResult, improve
    from aegis.lifecycle.serving.drift import DriftCount, DriftMonitor, read_drift_count
    from aegis.lifecycle.serving.improved import read_action_monitor
    from aegis.lifecycle.serving.monitor import ServingMonitor, describe_monitor, read_monitor
    from aegis.lifecycle.serving.stage import StageProgress, read_stage
    from aegis.lifecycle.standing import (
        Standing,
        TrainingProgress,
        read_standing,
    )
    from aegis.lifecycle.training.candidate import TrainingOutcome, train_and_judge
    from aegis.lifecycle.training.data import (
        DataCheck,
        TrainingData,
        check_data,
        check_enough,
        describe_more,
        describe_more_of,
        name_teacher,
        read_training_data,
        read_workspace_data,
        split_data,
    )
    from aegis.lifecycle.training.leakage import LeakageCheck, check_leakage
    from aegis.lifecycle.training.learning import help_training
    from aegis.lifecycle.training.memory import peak_rss_mb
    from aegis.lifecycle.training.rare import describe_rare_actions, find_rare_actions
    from aegis.lifecycle.training.refusal import Refusal, read_refusals, verdict_lines
    from aegis.lifecycle.training.worker import TrainerProcess, carry_out_training

_ROOMS = {
    "training.learning": ("help_training",),
    "training.leakage": ("LeakageCheck", "check_leakage"),
    "card": ("describe_collection",),
    "opening": ("existing", "find_serving", "open_store"),
    "training.data": (
        *("DataCheck", "TrainingData", "check_data", "check_enough", "describe_more", "name_teacher"),
        "describe_more_of",
        *("read_training_data", "read_workspace_data", "split_data"),
    ),
    "serving.drift": ("DriftCount", "DriftMonitor", "read_drift_count"),
    "rl.reward_comparison": ("is_learning",),
    "event": ("RunEvent",),
    "rl.simulated": ("SimulationResult", "SimulationPlan", "improve"),
    "training.candidate": ("TrainingOutcome", "train_and_judge"),
    "training.memory": ("peak_rss_mb",),
    "owner": ("check_owner",),
    "policies.loading": ("heldout_examples", "load_teacher_for"),
    "training.refusal": ("Refusal", "read_refusals", "verdict_lines"),
    "serving.stage": ("StageProgress", "read_stage"),
    "standing": ("Standing", "TrainingProgress", "read_standing"),
    "training.rare": ("describe_rare_actions", "find_rare_actions"),
    "training.worker": ("TrainerProcess", "carry_out_training"),
    "serving.improved": ("read_action_monitor",),
    "serving.monitor": ("ServingMonitor", "describe_monitor", "read_monitor"),
}

__all__ = [
    "DataCheck",
    "DriftCount",
    "DriftMonitor",
    "LeakageCheck",
    "Refusal",
    "RunEvent",
    "ServingMonitor",
    "SimulationPlan",
    "SimulationResult",
    "StageProgress",
    "Standing",
    "TrainerProcess",
    "TrainingData",
    "TrainingOutcome",
    "TrainingProgress",
    "carry_out_training",
    "check_data",
    "check_enough",
    "check_leakage",
    "check_owner",
    "describe_collection",
    "describe_monitor",
    "describe_more",
    "describe_more_of",
    "describe_rare_actions",
    "existing",
    "find_rare_actions",
    "find_serving",
    "heldout_examples",
    "help_training",
    "improve",
    "is_learning",
    "load_teacher_for",
    "name_teacher",
    "open_store",
    "peak_rss_mb",
    "read_action_monitor",
    "read_drift_count",
    "read_monitor",
    "read_refusals",
    "read_stage",
    "read_standing",
    "read_training_data",
    "read_workspace_data",
    "split_data",
    "train_and_judge",
    "verdict_lines",
]

__getattr__ = on_demand(__name__, _ROOMS)
