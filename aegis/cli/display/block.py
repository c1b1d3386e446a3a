"""The status of a workspace, as the block of lines that `aegis status` and the prompt's `training` show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from aegis.cli.display.output import WHOLE_CHARACTERS, rule
from aegis.lifecycle import Standing, TrainingProgress, describe_rare_actions
from aegis.lifecycle.milestone import describe_milestone, describe_phase
from aegis.lifecycle.standing import ImprovementProgress
from aegis.rendering import clean_text
from aegis.research.run.standing import AgentStanding, advise
from aegis.workspace import HRM, KIND_WORDS, MIXED, version_kind

FALLING_REWARDS = "a world empties while one lives in it: later decisions find less that is new, and earn less"
_LEAST_SEARCHES = 20
"""Recent searches that are needed before their results explain falling rewards"""
_SHOWN = {"mean_reward": "mean reward", "entropy": "entropy", "kl": "KL", "loss": "loss"}
_NO_TEACHER = "no teacher yet"


def training_block(standing: Standing) -> list[str]:
    """Return the lines of the block."""
    lines = [rule(), "HRM TRAINING STATUS", rule(), *_head(standing), "", *_collection(standing)]
    if standing.training is not None:
        lines += ["", *_training(standing.training)]
    if standing.trial:
        lines += ["", f"  Before the switch: {clean_text(standing.trial, WHOLE_CHARACTERS)}"]
    if standing.using_hrm:
        lines += ["", *_after_switch(standing)]
    return [*lines, "", f"  Next milestone: {describe_milestone(standing)}", rule()]


def describe_agent(standing: Standing) -> str:
    """Return what the agent is doing now."""
    if not standing.running:
        return "not running"
    process = f"running (process {standing.process})"
    return clean_text(f"{process}: {standing.doing}", WHOLE_CHARACTERS) if standing.doing else process


def describe_collected(standing: Standing) -> str:
    """Return the numbers of decisions collected and needed, e.g. `347/1100`, or `1172, more than the 1100 needed`.

    A training begins with what there is when it is looked for: in a stream of decisions more than was asked for.
    """
    last = standing.training
    if standing.collected <= standing.target:
        return f"{standing.collected}/{standing.target}"
    if last is not None and last.decisions == standing.target:
        return f"{standing.collected}; training {last.number} began with {last.decisions}"
    return f"{standing.collected}, more than the {standing.target} needed"


def describe_updates(standing: Standing) -> str:
    """Return the number of updates of the HRM that serves, and of kept versions that never served."""
    others = ", ".join(f"{name} has {count} and never served" for name, count in standing.unserved_updates.items())
    return f"{standing.rl_updates}" + (f" ({others})" if others else "")


def explain_rewards(standing: Standing) -> str:
    """Return the reason for falling rewards if most recent searches found nothing new; else ''."""
    if not isinstance(standing, AgentStanding):
        return ""  # only the research agent searches
    if standing.searches < _LEAST_SEARCHES or standing.vain_searches * 2 <= standing.searches:
        return ""
    return (
        f"{standing.vain_searches} of the last {standing.searches} searches found nothing new ({FALLING_REWARDS},"
        " whoever decides); `aegis evaluate` compares policies in equal worlds"
    )


def _head(standing: Standing) -> list[str]:
    serving = standing.serving or ""
    using = f"Yes ({serving})" if standing.using_hrm else f"No (using {standing.teacher or _NO_TEACHER})"
    if standing.using_hrm and version_kind(serving) != HRM:
        kind = version_kind(serving)
        using = f"{'Yes' if kind == MIXED else 'No'} (using {serving}, {KIND_WORDS[kind]})"
    # Decisions made beside a training exceed the target; the bar stays at 100%.
    progress = min(1.0, standing.collected / standing.target) if standing.target else 1.0
    return [
        f"  Current Phase: {describe_phase(standing)}",
        f"  Using HRM: {using}",
        *([f"    {clean_text(standing.rolled_back, WHOLE_CHARACTERS)}"] if standing.rolled_back else []),
        *_collected(standing, progress),
    ]


def _collected(standing: Standing, progress: float) -> list[str]:
    if standing.learned_from_file and not standing.collected and standing.using_hrm:  # nothing is to be collected
        return [f"  Training examples collected: none here; the training had {standing.learned_from_file}, of a file"]
    collected = f"{describe_collected(standing)}{_describe_other_source(standing)}"
    needs = [f"  ⚠ {clean_text(standing.needs, WHOLE_CHARACTERS)}"] if standing.needs else []
    return [f"  Training examples collected: {collected}", f"  Progress: {progress:.1%}", *needs]


def _describe_other_source(standing: Standing) -> str:
    number = standing.learned_from_file
    return f" (the last training had {number} others, of a file)" if number else ""


def _collection(standing: Standing) -> list[str]:
    gained = "unknown" if standing.mean_gained is None else f"{standing.mean_gained:.2f}"
    knowledge = [] if standing.point else [f"  Avg knowledge per example: {gained}"]
    return [
        "Data Collection Details:",
        f"  Total examples: {standing.collected}{_labelled(standing)}",
        "  Action distribution:",
        *_counts(standing.actions, standing.retired),
        *([f"  ⚠ {_describe_rare(standing)}"] if standing.rare_actions else []),
        *knowledge,
        *_why_rewards_fall(standing, shown=not standing.using_hrm),
    ]


def _describe_rare(standing: Standing) -> str:
    if isinstance(standing, AgentStanding):
        return describe_rare_actions(standing.rare_actions, advise)
    return describe_rare_actions(standing.rare_actions)


def _labelled(standing: Standing) -> str:
    if not standing.labelled:
        return ""
    by_person = standing.labelled_by_person
    who = "a person" if by_person == standing.labelled else "it"
    more = f", {by_person} of them by a person" if who == "it" and by_person else ""
    said = "that were labelled" if more else f"that {who} labelled"
    return f" by {standing.teacher}, and {standing.labelled} of the HRM's {said}{more}"


def _training(training: TrainingProgress) -> Iterable[str]:
    def known(value: float | None, form: str) -> str:
        return "unknown" if value is None else format(value, form)

    status = training.status
    if status == "running" and not training.active:
        status = "interrupted: the next start goes on with it"
    yield "Training Details:"
    parts = "those held out among them"
    if training.learned and training.heldout:
        parts = f"{training.learned} to learn from, {training.heldout} held out"
    yield f"  Training: {training.number} ({status}), on {training.decisions} examples ({parts})"
    yield f"  Epoch: {training.epoch}/{training.epochs}"
    yield f"  Loss: {known(training.loss, '.4f')}"
    whose = "" if training.judged == HRM else f" by the HRM alone; judged: {KIND_WORDS[training.judged]}"
    yield f"  Held-out accuracy: {known(training.heldout_accuracy, '.2%')}{whose}"
    yield f"  Checkpoints: {', '.join(training.checkpoints) or 'none yet'}"
    first, *others = training.rules or (training.verdict or "none yet",)
    yield f"  Verdict: {clean_text(first, WHOLE_CHARACTERS)}"
    yield from (f"           {clean_text(rule, WHOLE_CHARACTERS)}" for rule in others)


def _after_switch(standing: Standing) -> list[str]:
    reward = "unknown" if standing.mean_reward is None else f"{standing.mean_reward:+.2f}"
    return [
        "HRM Details:",
        f"  Decisions by the HRM: {standing.hrm_decisions}",
        "  Action distribution:",
        *_counts(standing.hrm_actions, standing.retired),
        f"  RL updates: {describe_updates(standing)}",
        f"  Mean reward: {reward}",
        *_why_rewards_fall(standing),
        *(_improvement(standing.improvement) if standing.improvement else ()),
    ]


def _why_rewards_fall(standing: Standing, shown: bool = True) -> list[str]:
    why = explain_rewards(standing)
    return [f"    {why}"] if why and shown else []


def _improvement(progress: ImprovementProgress) -> Iterable[str]:
    rewards, last = progress.rewards, progress.last
    improved, reference = rewards["improved"], rewards["reference"]
    if improved is not None:
        yield f"  Mean reward of the last {rewards['improved_decisions']} improved decisions: {improved:+.2f}"
        others = f"{reference or 0:+.2f} ({rewards['reference_decisions']})"
        yield f"    of {progress.reference}, that it began with: {others}"
        said = f"{rewards['evidence']:.1f}, rolled back at {rewards['evidence_needed']:.0f}"
        yield f"    evidence that they earn less: {said}"
    if last:
        shown = (f"{label} {last[name]:.4f}" for name, label in _SHOWN.items() if last.get(name) is not None)
        yield f"  Last update: {', '.join(shown)}"
        if last.get("fault"):
            yield f"    undone: {clean_text(last['fault'], WHOLE_CHARACTERS)}"


def _counts(actions: Mapping[str, int], retired: Sequence[str]) -> list[str]:
    gone = " (retired: no training learns from these)"
    lines = [f"    {name}: {count}{gone if name in retired else ''}" for name, count in actions.items()]
    return lines or ["    none yet"]
