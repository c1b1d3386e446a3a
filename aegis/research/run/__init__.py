"""The research agent as a client of the lifecycle: made in a workspace, run, and run by itself through all phases.

collection   make the agent of a workspace, and run it for some decisions
runner       the agent that runs through all phases by itself; plan: its settings, and the functions that it calls
data         the decisions that its HRM learns from, those that AEGIS ships among them
simulation   the simulated worlds of a workspace, for phase 4
standing     where the agent's workspace stands, with what waits for a person
waiting      what waits for a person
conversation what a person asks and tells the agent
setting_trial proposals decided by rule, put in use, tried, kept or undone
monitored_run the policy of one `aegis run`; division: how its decisions were divided between HRM and teacher
step         a step of the agent, told

A module is imported when one of its names is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.research.run.collection import make_agent, note_collection, run_agent
    from aegis.research.run.data import choose_data, read_shipped_data, shipped_data, shipped_heldout
    from aegis.research.run.monitored_run import MonitoredRun
    from aegis.research.run.plan import RunHooks, RunPlan
    from aegis.research.run.runner import Runner
    from aegis.research.run.simulation import make_worlds
    from aegis.research.run.standing import AgentStanding, read_agent_standing

_ROOMS = {
    "collection": ("make_agent", "note_collection", "run_agent"),
    "data": ("choose_data", "read_shipped_data", "shipped_data", "shipped_heldout"),
    "monitored_run": ("MonitoredRun",),
    "plan": ("RunHooks", "RunPlan"),
    "runner": ("Runner",),
    "simulation": ("make_worlds",),
    "standing": ("AgentStanding", "read_agent_standing"),
}

__all__ = [
    "AgentStanding",
    "MonitoredRun",
    "RunHooks",
    "RunPlan",
    "Runner",
    "choose_data",
    "make_agent",
    "make_worlds",
    "note_collection",
    "read_agent_standing",
    "read_shipped_data",
    "run_agent",
    "shipped_data",
    "shipped_heldout",
]

__getattr__ = on_demand(__name__, _ROOMS)
