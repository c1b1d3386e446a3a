"""`aegis collect`, `aegis run` and `aegis status`: the agent at work, by its teacher or by its HRM."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aegis.cli.screen import errors_explained, progress_bar, say
from aegis.config import PHASE_1_DECISIONS, AgentConfig
from aegis.rendering import clean_text
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.agent import Step
    from aegis.store import DecisionStore
    from aegis.types import Policy

_DEFAULTS = AgentConfig()
_LINE_EVERY = 50

WorkspaceOption = Annotated[Path, typer.Option("--workspace", help="Folder of the agent.")]
DecisionsOption = Annotated[int, typer.Option("--decisions", min=1, help="How many decisions to make.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", help="Of the goals drawn; by default another one each time, and recorded.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="cpu, cuda, or auto: cuda where there is one.")]
BackendOption = Annotated[
    str,
    typer.Option(
        "--backend",
        help="What computes the HRM: auto (on the CPU the fastest that decides as the eager model), eager, onnx,"
        " onnx-int8 or openvino.",
    ),
]
TeacherOption = Annotated[
    str,
    typer.Option(
        "--teacher",
        help="gpt2, gemma3-270m, a hub id, a model's folder, a .gguf file, scripted (a rule, no model),"
        " or auto: the workspace's own; in a new one gpt2 where it can be had, else the installed offline model.",
    ),
]
AnswerOption = Annotated[
    float, typer.Option("--answer-timeout", help="Seconds until a question in the inbox counts as unanswered.")
]
ApprovalOption = Annotated[
    float, typer.Option("--approval-timeout", help="Seconds until a proposal that nobody decided leaves the queue.")
]
PresenceOption = Annotated[
    bool,
    typer.Option(
        "--vary-presence",
        help="Tell the policy in half of the decisions that a person is here, so that the"
        " data shows both cases; nobody is made up who answers.",
    ),
]


def collect(
    decisions: DecisionsOption = PHASE_1_DECISIONS,
    teacher: TeacherOption = "auto",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    answer_timeout: AnswerOption = _DEFAULTS.answer_timeout_seconds,
    approval_timeout: ApprovalOption = _DEFAULTS.approval_timeout_seconds,
    vary_presence: PresenceOption = False,
) -> None:
    """Let the agent decide by its teacher and record every decision (phase 1).

    Any number of these may run at once in one workspace; each adds its own decisions.
    """
    with errors_explained():
        from aegis import lifecycle
        from aegis.hrm import resolve_device

        folder = Workspace(workspace)
        config = AgentConfig(answer_timeout_seconds=answer_timeout, approval_timeout_seconds=approval_timeout)
        with lifecycle.open_store(folder) as store:
            policy = lifecycle.load_teacher_for(store, teacher, resolve_device(device), say)
            seed = random.SystemRandom().randrange(2**32) if seed is None else seed
            lifecycle.note_collection(
                store,
                {"teacher": policy.name, "decisions": decisions, "seed": seed, "vary_presence": vary_presence}
                | {"answer_timeout_seconds": answer_timeout, "approval_timeout_seconds": approval_timeout},
            )
            say(f"Collecting {decisions} decisions by {policy.name} into {workspace} (seed {seed})...")
            _run(store, policy, decisions, seed, config, vary_presence)
            _show_total(store, policy.name)


def run(
    decisions: DecisionsOption = 20,
    teacher: TeacherOption = "auto",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    backend: BackendOption = "auto",
    answer_timeout: AnswerOption = _DEFAULTS.answer_timeout_seconds,
    approval_timeout: ApprovalOption = _DEFAULTS.approval_timeout_seconds,
    vary_presence: PresenceOption = False,
) -> None:
    """Let the agent decide by whichever policy serves: the HRM after the switch, else the teacher."""
    with errors_explained():
        from aegis import lifecycle
        from aegis.hrm import resolve_device

        config = AgentConfig(answer_timeout_seconds=answer_timeout, approval_timeout_seconds=approval_timeout)
        with lifecycle.open_store(Workspace(workspace)) as store:
            folder = Workspace(workspace)
            policy: Policy | None = lifecycle.load_serving(store, folder, resolve_device(device), backend, say)
            if policy is None:
                policy = lifecycle.load_teacher_for(store, teacher, resolve_device(device), say)
            size = f" ({policy.parameters / 1e6:.1f}M params)" if policy.parameters else ""
            by = f" on {policy.backend}" if hasattr(policy, "backend") else ""
            say(f"The agent decides by {policy.name}{size}{by}")
            seed = random.SystemRandom().randrange(2**32) if seed is None else seed
            _run(store, policy, decisions, seed, config, vary_presence)
            _show_total(store, policy.name)


def status(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Show where a workspace stands: its teacher, its decisions, and which policy serves."""
    with errors_explained():
        from aegis import lifecycle

        folder = Workspace(workspace)
        if not folder.database.exists():
            say(f"{workspace}: nothing here yet: run `aegis collect` or `aegis train` first")
            return
        with lifecycle.open_store(folder) as store:
            teacher, serving = store.teacher(), lifecycle.find_serving(store, folder)
            say(f"Workspace:  {workspace}")
            say(f"Teacher:    {teacher.name if teacher else 'none yet'}")
            say(f"Serving:    {serving.name if serving else (teacher.name if teacher else 'nothing yet')}")
            if teacher:
                count = store.count(teacher.name)
                say(f"Collected:  {count}/{PHASE_1_DECISIONS} decisions by {teacher.name}")
                if serving and not count:
                    say("            (the HRM was trained on decisions from a file)")
            _show_total(store, None)


def _run(
    store: DecisionStore, policy: Policy, decisions: int, seed: int, config: AgentConfig, vary_presence: bool
) -> None:
    from aegis import lifecycle

    done = 0
    rewards: list[float] = []
    actions: Counter[str] = Counter()
    with progress_bar() as bar:
        task = bar.add_task("Deciding", total=decisions)

        def on_step(step: Step) -> None:
            nonlocal done
            done += 1
            actions[step.decision.action.name] += 1
            if step.outcome.reward is not None:
                rewards.append(step.outcome.reward)
            bar.update(task, completed=done, description=_describe(step))
            if not bar.console.is_terminal and (done % _LINE_EVERY == 0 or done == decisions):
                say(f"  {done}/{decisions}  last: {_describe(step)}")

        lifecycle.run_agent(store, policy, decisions, seed, config, vary_presence, progress=_say_index, on_step=on_step)
    say(f"  this run: {_shares(actions)}")
    if rewards:
        say(f"  mean reward where known: {sum(rewards) / len(rewards):+.2f} over {len(rewards)} decisions")


def _describe(step: Step) -> str:
    argument = "".join(step.decision.action.argument.values())
    return clean_text(f"{step.decision.action.name} {argument}: {step.outcome.detail}", 90)


def _say_index(line: str) -> None:
    if line.startswith("build"):
        say(line)


def _show_total(store: DecisionStore, policy: str | None) -> None:
    counts: Any = Counter(store.action_counts(policy))
    say(f"  in the workspace{f', by {policy}' if policy else ''}: {counts.total()} decisions")
    if counts:
        say(f"  {_shares(counts)}")


def _shares(counts: Counter[str]) -> str:
    total = max(1, counts.total())
    return ", ".join(f"{name} {number} ({number / total:.0%})" for name, number in counts.most_common())
