"""`aegis collect --ray`: many agents at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aegis.cli.display.output import say
from aegis.cli.display.progress import ProgressLines, progress_bar, waiting
from aegis.cli.world import EndpointOptions, teacher_name
from aegis.config import AgentConfig
from aegis.rendering import counted
from aegis.workspace import Workspace

if TYPE_CHECKING:
    from aegis.cluster.asking import TeacherOrder
    from aegis.cluster.teacher import TeacherActors
    from aegis.research.fleet.agent import AgentOrder
    from aegis.research.fleet.collect import Fleet
    from aegis.research.fleet.writer import Written
    from aegis.store import DecisionStore

FAILURES_FILE = "collect-failures.jsonl"
"""In a workspace's logs: the states that got no decision, with the reason"""


@dataclass(frozen=True, slots=True)
class FleetRequest:
    """What `aegis collect --ray` was asked for."""

    agents: int
    decisions: int
    teacher: str
    endpoint: EndpointOptions
    device: str
    search: str
    seed: int
    vary_presence: bool


def collect_on_ray(workspace: Workspace, address: str, request: FleetRequest, config: AgentConfig) -> Written:
    """Collect by many agents into the workspace; return what was written."""
    from aegis.cluster.connection import connected
    from aegis.cluster.teacher import TeacherActors
    from aegis.lifecycle import open_store
    from aegis.research.fleet.collect import Fleet
    from aegis.research.fleet.writer import Writer
    from aegis.research.run import note_collection

    with open_store(workspace) as store, contextlib.ExitStack() as stack:
        order = teacher_order(store, workspace, request.teacher, request.endpoint, request.device)
        with waiting() as progress:
            progress("Connecting to Ray", 0, 0)
            stack.enter_context(connected(address))
            progress("Loading the teacher on Ray", 0, 0)
            teachers = stack.enter_context(contextlib.closing(TeacherActors(order, request.agents)))
            stack.callback(tell_restarts, teachers)
        claim = store.claim_teacher(teachers.claim.name, teachers.claim.parameters, teachers.claim.source)
        note_collection(store, teachers.teacher(0), request.search, request.seed, request.vary_presence, config)
        say(
            f"Collecting {counted(request.decisions, 'decision')} by {claim.name} into {workspace.folder}"
            f" with {counted(request.agents, 'agent')} on Ray (seed {request.seed})..."
        )
        make = _agent_orders(store, teachers, request, config)
        fleet = Fleet(make, request.agents, Writer(store, workspace.logs / FAILURES_FILE))
        _run(fleet, request.decisions)
    return fleet.writer.written


def tell_restarts(teachers: TeacherActors) -> None:
    """Say where a teacher's process died meanwhile: what it was asked was asked, and paid, again."""
    if teachers.started_again():
        say("⚠ a process of the teacher died and was started again; what it had not answered was asked again")


def teacher_order(
    store: DecisionStore, workspace: Workspace, teacher: str, endpoint: EndpointOptions, device: str
) -> TeacherOrder:
    """Return which teacher the actors load: the workspace's own for `auto`, where it has one."""
    from aegis.cluster.asking import TeacherOrder
    from aegis.teachers import loadable_name

    claim = store.teacher()
    name = teacher_name(claim, teacher, endpoint)
    if name == "auto" and claim is not None:
        name = loadable_name(claim.name, claim.source)
    return TeacherOrder(name, device, endpoint.to_config(), workspace.database)


def _agent_orders(
    store: DecisionStore, teachers: TeacherActors, request: FleetRequest, config: AgentConfig
) -> Callable[[int], AgentOrder]:
    """Return a function that makes the order of the agent of a place, with the workspace's changed settings."""
    from aegis.research import SettingBook
    from aegis.research.fleet.agent import AgentOrder

    book = SettingBook(store.database)
    config = book.agent_config(config)
    rewards, order = book.reward_table(config), book.search_order()

    def make(place: int) -> AgentOrder:
        teacher = teachers.teacher(place)
        return AgentOrder(teacher, config, rewards, request.search, order, request.vary_presence, request.seed)

    return make


def _run(fleet: Fleet, decisions: int) -> None:
    with progress_bar() as bar, ProgressLines(say) as lines:
        task = bar.add_task("Deciding", total=decisions)

        def tell(done: int) -> None:
            bar.update(task, completed=done)
            if not bar.console.is_terminal:
                lines("Deciding", done, decisions)

        fleet.on_progress = tell
        fleet.on_notice = lambda line: say(f"⚠ {line}")
        tell(0)
        fleet.collect(decisions)
