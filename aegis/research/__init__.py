"""The agent: its world, its actions and its loop. It sees a policy, never a model. `run/` takes it through the phases.

A module is imported when one of its names is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aegis.packages import on_demand

if TYPE_CHECKING:
    from aegis.research.actions import RESEARCH_ACTIONS
    from aegis.research.inbox import DrawnPresence, Inbox, Presence
    from aegis.research.loop import Agent, AgentHooks, Situation, Step
    from aegis.research.proposals import ApprovalQueue
    from aegis.research.rewards import RewardTable
    from aegis.research.setting import SETTINGS, Change, Setting, SettingBook
    from aegis.research.world import World, Worlds, choose_offered

_ROOMS = {
    "actions": ("RESEARCH_ACTIONS",),
    "inbox": (
        "DrawnPresence",
        "Inbox",
        "Presence",
    ),
    "loop": (
        "Agent",
        "AgentHooks",
        "Situation",
        "Step",
    ),
    "proposals": ("ApprovalQueue",),
    "rewards": ("RewardTable",),
    "setting": (
        "SETTINGS",
        "Change",
        "Setting",
        "SettingBook",
    ),
    "world": (
        "World",
        "Worlds",
        "choose_offered",
    ),
}

__all__ = [
    "RESEARCH_ACTIONS",
    "SETTINGS",
    "Agent",
    "AgentHooks",
    "ApprovalQueue",
    "Change",
    "DrawnPresence",
    "Inbox",
    "Presence",
    "RewardTable",
    "Setting",
    "SettingBook",
    "Situation",
    "Step",
    "World",
    "Worlds",
    "choose_offered",
]

__getattr__ = on_demand(__name__, _ROOMS)
