"""The agent: its world, its actions and its loop. It sees a policy, never a model."""

from aegis.research.actions import RESEARCH_ACTIONS
from aegis.research.inbox import DrawnPresence, Inbox, Presence
from aegis.research.loop import Agent, AgentHooks, Situation, Step
from aegis.research.proposals import ApprovalQueue
from aegis.research.rewards import RewardTable
from aegis.research.setting import SETTINGS, Change, Setting, SettingBook
from aegis.research.world import World, Worlds, choose_offered

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
