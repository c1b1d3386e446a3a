"""What a decision point decides about: the actions that its workspace records, with their words and descriptions."""

from __future__ import annotations

from dataclasses import asdict

from aegis.errors import ConfigError, StoreError
from aegis.research import RESEARCH_ACTIONS
from aegis.store import DecisionStore, StateKey
from aegis.types import ActionList, ActionSpec


def read_actions(store: DecisionStore) -> ActionList:
    """Return the actions of a workspace's decision point; the research agent's where none are recorded.

    Raises `StoreError` where the record can't be read.
    """
    try:
        fields = store.state.record(StateKey.ACTIONS)
        if fields is None:
            return RESEARCH_ACTIONS
        return ActionList(tuple(ActionSpec(**spec) for spec in fields["actions"]))
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise StoreError(
            f"{store.database.path}: the recorded actions can't be read ({error}): restore a copy"
        ) from error


def claim_actions(store: DecisionStore, actions: ActionList) -> None:
    """Record a decision point's actions, or check that they are the recorded ones.

    Descriptions and words may change. Raises `ConfigError` for other names or another order: decisions, models and
    probabilities stand in the recorded order.
    """
    with store.database.transaction():
        recorded = store.state.record(StateKey.ACTIONS)
        if recorded is None and store.newest():
            raise ConfigError(
                f"{store.database.path}: holds decisions of the research agent: use another workspace or point name"
            )
        if recorded is not None:
            names = tuple(spec["name"] for spec in recorded["actions"])
            if names != actions.names:
                raise ConfigError(
                    f"{store.database.path}: this decision point's actions are {', '.join(names)}, not"
                    f" {', '.join(actions.names)}: give the recorded ones in their order, or use another point name"
                )
        store.state.keep(StateKey.ACTIONS, {"actions": [asdict(spec) for spec in actions]})
