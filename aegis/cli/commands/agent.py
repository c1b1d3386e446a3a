"""`aegis collect` and `aegis run`: the research agent at work, by its teacher or by its HRM."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aegis.cli.admission import check_agent, check_share, describe_new
from aegis.cli.commands.cluster.fleet import FAILURES_FILE, FleetRequest, collect_on_ray
from aegis.cli.display.output import WHOLE_CHARACTERS, errors_explained, fail, percentages, say
from aegis.cli.display.progress import ProgressLines, progress_bar, waiting
from aegis.cli.options import (
    ActionTimeoutOption,
    AnswerOption,
    ApprovalOption,
    AuditRateOption,
    BackendOption,
    BaseUrlOption,
    CostOption,
    DecisionsOption,
    DeviceOption,
    DriftOption,
    PresenceOption,
    PricesOption,
    RateOption,
    RayOption,
    RewardsOption,
    SearchOption,
    SeedOption,
    TeacherOption,
    TokensOption,
    WorkspaceOption,
)
from aegis.cli.world import (
    EndpointOptions,
    closing_policy,
    load_teacher,
    read_reward_changes,
    ready_search,
)
from aegis.config import PHASE_1_DECISIONS, AgentConfig, MonitorConfig
from aegis.packages import require
from aegis.rendering import clean_text, counted
from aegis.research import run as research_run
from aegis.workspace import DEFAULT_WORKSPACE, Workspace

if TYPE_CHECKING:
    from aegis.research import Agent, Step
    from aegis.research.fleet.writer import Written
    from aegis.store import DecisionStore
    from aegis.types import Policy, Teacher

_DEFAULTS = AgentConfig()
_LINE_EVERY = 50
_BAR_CHARACTERS = 90


def collect(
    decisions: DecisionsOption = PHASE_1_DECISIONS,
    teacher: TeacherOption = "auto",
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    answer_timeout: AnswerOption = _DEFAULTS.answer_timeout_seconds,
    approval_timeout: ApprovalOption = _DEFAULTS.approval_timeout_seconds,
    vary_presence: PresenceOption = False,
    search: SearchOption = "offline",
    action_timeout: ActionTimeoutOption = _DEFAULTS.action_timeout_seconds,
    rewards: RewardsOption = None,
    base_url: BaseUrlOption = None,
    requests_per_minute: RateOption = None,
    max_tokens: TokensOption = None,
    max_cost: CostOption = None,
    prices: PricesOption = "",
    ray: RayOption = None,
    agents: Annotated[
        int, typer.Option(min=1, help="Agents that collect at once on Ray, each in episodes of its own.")
    ] = 1,
) -> None:
    """Let the agent decide by its teacher and record every decision (phase 1).

    Any number of these may run at once in one workspace; each adds its own decisions. With --ray many agents decide at
    once, on one machine or many.
    """
    with errors_explained():
        folder = Workspace(workspace)
        if agents > 1 and ray is None:
            fail("--agents: say where they run: --ray local for this machine, or a Ray cluster's address")
        config = AgentConfig(
            answer_timeout_seconds=answer_timeout,
            approval_timeout_seconds=approval_timeout,
            action_timeout_seconds=action_timeout,
            rewards=read_reward_changes(rewards),
        )
        endpoint = EndpointOptions(base_url, requests_per_minute, max_tokens, max_cost, prices)
        check_agent(folder, teacher, endpoint, search, device, needs_teacher=True)
        if ray is not None:
            require("ray", "--ray")
        _say_new(folder)
        seed = random.SystemRandom().randrange(2**32) if seed is None else seed
        if ray is not None:
            request = FleetRequest(agents, decisions, teacher, endpoint, device, search, seed, vary_presence)
            with ready_search(search, folder, say):  # the offline index, once for all agents
                written = collect_on_ray(folder, ray, request, config)
            _show_collected(folder, written)
            return
        from aegis import lifecycle
        from aegis.hrm import resolve_device

        with ready_search(search, folder, say) as searching, lifecycle.open_store(folder) as store:
            with waiting() as progress:
                progress("Loading what a teacher needs", 0, 0)
                policy = load_teacher(store, teacher, resolve_device(device), endpoint, say, progress)
            research_run.note_collection(store, policy, searching.name, seed, vary_presence, config)
            say(f"Collecting {counted(decisions, 'decision')} by {policy.name} into {workspace} (seed {seed})...")
            with closing_policy(policy):
                agent = research_run.make_agent(store, policy, searching, seed, config, vary_presence)
                _run(store, folder, agent, decisions)
            _show_total(store, policy.name)
            _warn_of_rare(store, policy.name)


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
    search: SearchOption = "offline",
    action_timeout: ActionTimeoutOption = _DEFAULTS.action_timeout_seconds,
    rewards: RewardsOption = None,
    base_url: BaseUrlOption = None,
    requests_per_minute: RateOption = None,
    max_tokens: TokensOption = None,
    max_cost: CostOption = None,
    prices: PricesOption = "",
    defer_below: Annotated[
        float | None,
        typer.Option(
            help="The teacher decides where the HRM's calibrated confidence is below this; see `aegis curve`."
        ),
    ] = None,
    audit_rate: AuditRateOption = MonitorConfig().audit_rate,
    drift_quantile: DriftOption = MonitorConfig().drift_quantile,
) -> None:
    """Let the agent decide by the policy that serves: the HRM after the switch, else the teacher.

    The HRM is monitored. It is rolled back when it surely agrees less with its teacher than it promised.
    """
    with errors_explained():
        config = AgentConfig(
            answer_timeout_seconds=answer_timeout,
            approval_timeout_seconds=approval_timeout,
            action_timeout_seconds=action_timeout,
            rewards=read_reward_changes(rewards),
        )
        endpoint = EndpointOptions(base_url, requests_per_minute, max_tokens, max_cost, prices)
        monitor = MonitorConfig(audit_rate=audit_rate, drift_quantile=drift_quantile)
        check_share("--defer-below", defer_below)
        from aegis.lifecycle.opening import existing

        folder = Workspace(workspace)
        if teacher == "auto" and not base_url and workspace != DEFAULT_WORKSPACE:
            existing(folder)  # nobody waits for a language model because of a mistyped name
        check_agent(folder, teacher, endpoint, search, device, backend)
        _say_new(folder)
        from aegis import lifecycle
        from aegis.hrm import resolve_device
        from aegis.lifecycle.policies.resolver import PolicyResolver, ResolverOptions

        with (
            ready_search(search, folder, say) as searching,
            lifecycle.open_store(folder) as store,
            contextlib.ExitStack() as stack,
        ):
            with waiting() as progress:
                progress("Loading what deciding needs", 0, 0)
                chosen = resolve_device(device)
            seed = random.SystemRandom().randrange(2**32) if seed is None else seed

            def load() -> Teacher:
                with waiting() as progress:
                    loaded = load_teacher(store, teacher, chosen, endpoint, say, progress)
                stack.enter_context(closing_policy(loaded))
                return loaded

            def tell(line: str) -> None:
                say(f"⚠ {line}")

            options = ResolverOptions(chosen, backend, drift_quantile, defer_below, research_run.shipped_heldout)
            resolver = PolicyResolver(folder, load, options, tell=tell, say=say, loads=waiting)
            monitored = research_run.MonitoredRun(
                store, folder, resolver, monitor, random.Random(seed), defer_below, tell
            )
            stack.callback(monitored.close)
            policy = monitored.policy
            size = f" ({policy.parameters / 1e6:.1f}M params)" if policy.parameters else ""
            computed_by = getattr(policy, "backend", "")
            by = f" on {computed_by}" if computed_by else ""
            say(f"The agent decides by {policy.name}{size}{by}")
            for line in monitored.describe_monitor():
                say(f"  {line}")
            agent = research_run.make_agent(store, policy, searching, seed, config, vary_presence)
            _run(store, folder, agent, decisions, monitored.after)
            for line in monitored.describe_end():
                say(f"  {line}")
            _show_total(store, monitored.policy.name)


def _say_new(workspace: Workspace) -> None:
    if new := describe_new(workspace):
        say(new)


def _run(
    store: DecisionStore,
    workspace: Workspace,
    agent: Agent,
    decisions: int,
    after: Callable[[Step], Policy | None] = lambda step: None,
) -> None:
    """Make decisions. after: hears each step, and returns the policy that decides next, or None for the same."""
    from aegis.cli.display.block import explain_rewards
    from aegis.research.run.step import describe_step
    from aegis.research.run.waiting import Herald

    done = 0
    rewards: list[float] = []
    actions: Counter[str] = Counter()
    with progress_bar() as bar, ProgressLines(say) as lines:
        task = bar.add_task("Deciding", total=decisions)
        if not bar.console.is_terminal:
            lines("Deciding", 0, decisions)

        herald = Herald(lambda one, now: say(one.announce_anywhere(now, workspace)))
        herald.look(store.database)

        def follow(step: Step) -> Policy | None:
            nonlocal done
            herald.after(step.decision, store.database)
            done += 1
            actions[step.decision.action.name] += 1
            if step.outcome.reward is not None:
                rewards.append(step.outcome.reward)
            made = describe_step(step)
            bar.update(task, completed=done, description=clean_text(made, _BAR_CHARACTERS))
            if not bar.console.is_terminal:
                lines("Deciding", done, decisions)
                if done % _LINE_EVERY == 0 or done == decisions:
                    say(f"  {done}/{decisions}  last: {clean_text(made, WHOLE_CHARACTERS)}")
            return after(step)

        research_run.run_agent(agent, decisions, follow)
    say(f"  this run: {_shares(actions)}")
    if rewards:
        say(f"  mean reward where known: {sum(rewards) / len(rewards):+.2f} over {counted(len(rewards), 'decision')}")
        if why := explain_rewards(research_run.read_agent_standing(workspace)):
            say(f"    {why}")


def _show_collected(workspace: Workspace, written: Written) -> None:
    from aegis import lifecycle

    say(f"  this run: {_shares(written.actions)}")
    if written.failures:
        say(f"  ⚠ {counted(written.failures, 'state')} without a decision: {workspace.logs / FAILURES_FILE} has each")
    with lifecycle.open_store(workspace) as store:
        claim = store.teacher()
        assert claim is not None  # of what was just written
        _show_total(store, claim.name)
        _warn_of_rare(store, claim.name)


def _warn_of_rare(store: DecisionStore, policy: str) -> None:
    from aegis import lifecycle
    from aegis.research import RESEARCH_ACTIONS
    from aegis.research.run.standing import advise

    rare = lifecycle.find_rare_actions(store.action_counts(policy), PHASE_1_DECISIONS, RESEARCH_ACTIONS.names)
    if rare:
        say(f"  ⚠ {lifecycle.describe_rare_actions(rare, advise)}")


def _show_total(store: DecisionStore, policy: str | None) -> None:
    counts: Any = Counter(store.action_counts(policy))
    say(f"  in the workspace{f', by {policy}' if policy else ''}: {counted(counts.total(), 'decision')}")
    if counts:
        say(f"  {_shares(counts)}")


def _shares(counts: Counter[str]) -> str:
    shares = percentages(counts)
    return ", ".join(f"{name} {number} ({shares[name]}%)" for name, number in counts.most_common())
