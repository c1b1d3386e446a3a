"""Actions that phase 4 may not unlearn: where the HRM before phase 4 takes one of them, it stays taken.

A shield around what learns (Alshiekh et al. 2018, arXiv:1708.08611): rewards decide everything else. A penalty in the
loss did not do it: the HRM kept asking where nobody was, too (docs/experiments.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from aegis.config import KeptAction
from aegis.hrm import base_of, kept_of
from aegis.lifecycle.policies.tempered import temper
from aegis.lifecycle.policies.wrapped import WrappedPolicy
from aegis.types import ActionList, Choice, Policy, State


class KeepingPolicy(WrappedPolicy):
    """A version that phase 4 improved, and its base, which keeps some actions.

    kept: the actions, and in which states. temperature: of the version's choices, for the base's to be like them. Each
    choice names the version that would have made it; a kept one is not drawn, so nothing is learned from it.
    """

    def __init__(self, policy: Policy, base: Policy, kept: Sequence[KeptAction], temperature: float = 1.0) -> None:
        super().__init__(policy)
        self._base = base
        self._kept = kept
        self._temperature = temperature

    def decide(self, states: Sequence[State], actions: ActionList) -> list[Choice]:
        """Return the version's choices, and its base's where that takes an action that is kept."""
        choices = self.policy.decide(states, actions)
        names = [{one.action for one in self._kept if one.holds_in(state)} for state in states]
        rows = [row for row, kept in enumerate(names) if kept]
        before = self._base.decide([states[row] for row in rows], actions) if rows else []
        for row, one in zip(rows, before, strict=True):
            best = Choice.best(temper(one.probabilities, self._temperature), actions, choices[row].policy, one.kind)
            if best.action in names[row]:
                choices[row] = replace(best, out_of_distribution=choices[row].out_of_distribution)
        return choices


def keeping(policy: Policy, base: Policy, kept: Sequence[KeptAction], temperature: float = 1.0) -> Policy:
    """Return a version that keeps these actions of its base; the version itself where there is nothing to keep."""
    return KeepingPolicy(policy, base, kept, temperature) if kept else policy


def rename_kept(kept: Sequence[KeptAction], renamed: Mapping[str, str]) -> tuple[KeptAction, ...]:
    """Return the kept actions by their present names. renamed: these names, by former ones."""
    return tuple(replace(one, action=renamed.get(one.action, one.action)) for one in kept)


def load_whole(folder: Path, load: Callable[[Path], Policy]) -> Policy:
    """Load a version with what it keeps of its base. load: loads the policy of a folder alone."""
    base, kept = base_of(folder), kept_of(folder)
    return load(folder) if base is None or not kept else keeping(load(folder), load(folder.parent / base), kept)
