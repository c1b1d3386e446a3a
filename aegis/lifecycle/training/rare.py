"""Actions that are too rare in a teacher's decisions for an HRM to learn them, and what to do about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aegis.config import MIN_TRAINING_DECISIONS, RARE_ACTION_DECISIONS
from aegis.formats.record import ANSWER


def find_rare_actions(actions: Mapping[str, int], target: int, names: Sequence[str]) -> dict[str, int]:
    """Return the actions with too few of a teacher's decisions for an HRM to learn them, the rarest first.

    names: of all actions. target: decisions at which the training starts; before that, the counts are scaled to it.
    With fewer decisions than a training needs, none is rare yet. The answer in words, which AEGIS adds to a model's
    tools, does not count where it was never taken: many agents have no use for it.
    """
    total = sum(actions.values())
    if total < MIN_TRAINING_DECISIONS:
        return {}
    expected = max(1.0, target / total)
    counts = {name: actions.get(name, 0) for name in names if name != ANSWER or actions.get(name)}
    rare = {name: count for name, count in counts.items() if count * expected < RARE_ACTION_DECISIONS}
    return dict(sorted(rare.items(), key=lambda item: item[1]))


def collect_more(rare: Mapping[str, int]) -> str:
    """Return what helps with rare actions, whatever the agent."""
    return "collect more"


def go_on(never: Sequence[str]) -> str:
    """Return what follows where a teacher never took some actions, whatever the agent."""
    return f"an HRM can't learn {'it' if len(never) == 1 else 'them'}: go on without, or retire (`retired`)"


def describe_rare_actions(rare: Mapping[str, int], advise: Callable[[Mapping[str, int]], str] = collect_more) -> str:
    """Return in one line which actions an HRM can hardly learn, and what to do; '' without such actions.

    advise: returns what to do. Of an action that was never taken, more decisions of the same kind would show no more.
    """
    few, never = {name: count for name, count in rare.items() if count}, [name for name in rare if not rare[name]]
    said, advice = [], advise(dict.fromkeys(never, 0)) if never else ""
    if few:
        shown, least = ", ".join(f"{name} ({count})" for name, count in few.items()), RARE_ACTION_DECISIONS
        said.append(f"An HRM can hardly learn {shown}: {least} examples of each are the least: {advise(few)}")
    if never:
        follows = go_on(never) if advice == collect_more({}) else f"so far an HRM can't learn it: {advice}"
        if few and advice == advise(few) != collect_more({}):
            follows = "so far an HRM can't learn it; the same helps"
        said.append(f"The teacher never took {', '.join(never)}: {follows}")
    return ". ".join(said)
