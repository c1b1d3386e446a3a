"""What a decision point decides about: the actions that its workspace records, with their words and descriptions."""

from __future__ import annotations

from dataclasses import asdict

from aegis.errors import ConfigError, StoreError
from aegis.store import DecisionStore, StateKey
from aegis.types import ActionList, ActionSpec


def read_actions(store: DecisionStore, default: ActionList | None = None) -> ActionList:
    """Return the actions of a workspace's decision point.

    default: the actions of an agent whose earlier versions recorded none; without it, the names in the newest decision
    count as their words. Raises `StoreError` where the record can't be read, or nothing is recorded at all.
    """
    try:
        fields = store.state.record(StateKey.ACTIONS)
        if fields is not None:
            return ActionList(tuple(ActionSpec(**spec) for spec in fields["actions"]))
    except (ValueError, KeyError, TypeError, ConfigError) as error:
        raise StoreError(
            f"{store.database.path}: the recorded actions can't be read ({error}): restore a copy"
        ) from error
    if default is not None:
        return default
    if not (names := read_names(store)):
        raise StoreError(f"{store.database.path}: no actions are recorded: open it with its agent first")
    return ActionList(tuple(ActionSpec(name, name, name) for name in names))


def read_names(store: DecisionStore) -> tuple[str, ...]:
    """Return the names of a decision point's actions; of the newest decision's where none are recorded, or none."""
    fields = store.state.record(StateKey.ACTIONS)
    if fields is not None:
        return tuple(spec["name"] for spec in fields["actions"])
    newest = store.recent(1)
    return newest[0].decision.actions if newest else ()


def claim_actions(store: DecisionStore, actions: ActionList) -> None:
    """Record a decision point's actions, or check that they are the recorded ones.

    Descriptions and words may change. Raises `ConfigError` for other names or another order: decisions, models and
    probabilities stand in the recorded order.
    """
    with store.database.transaction():
        names, recorded = read_names(store), store.state.record(StateKey.ACTIONS) is not None
        # A decision may have been among some of the actions only.
        if names != actions.names if recorded else not set(names) <= set(actions.names):
            raise ConfigError(
                f"{store.database.path}: this decision point's actions are {', '.join(names)}, not"
                f" {', '.join(actions.names)}: give the recorded ones in their order, or use another point name"
            )
        store.state.keep(StateKey.ACTIONS, {"actions": [asdict(spec) for spec in actions]})
