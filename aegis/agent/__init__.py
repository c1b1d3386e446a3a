"""The agent: its world, its actions and its loop. It sees a policy, never a model."""

from aegis.agent.actions import RESEARCH_ACTIONS
from aegis.agent.inbox import DrawnPresence, Inbox, Presence
from aegis.agent.loop import Agent, AgentHooks, Situation, Step
from aegis.agent.proposals import ApprovalQueue
from aegis.agent.rewards import RewardTable
from aegis.agent.setting import SETTINGS, Change, Setting, SettingBook
from aegis.agent.world import World, Worlds, choose_offered

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
