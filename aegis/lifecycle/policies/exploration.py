"""Versions of the HRM loaded to explore by while phase 4 learns beside the agent: their actions are drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.config import ReinforceConfig
from aegis.errors import AegisError
from aegis.lifecycle.point import Adoption
from aegis.lifecycle.policies.deferring import DistributionCheckedPolicy, check_by_base
from aegis.lifecycle.policies.keeping import keeping
from aegis.lifecycle.policies.tempered import ControlledPolicy, SamplingPolicy, Turns, exploring_temperature
from aegis.promotion import Serving
from aegis.types import Policy

if TYPE_CHECKING:
    from aegis.hrm import HRMPolicy


class Exploration:
    """Loads versions that draw their actions; an improved version comes with the reference that it is compared with.

    rng: draws the actions of all versions; not the turns, for processes with the same seed must not draw the same ones.
    backend: `load_policy`'s. say hears why an eager model decides.
    """

    def __init__(
        self,
        config: ReinforceConfig,
        rng: random.Random,
        backend: str = "auto",
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._config = config
        self._rng = rng
        self._backend = backend
        self._say = say
        self._base: tuple[str, Any] | None = None
        self._control: tuple[str, Turns] | None = None
        self._checked_base: Policy | None = None
        self._loaded_reference: Policy | None = None

    def compare_with(self, reference: str, close: bool = False) -> None:
        """Let this version make the control's decisions. close: it makes the larger share, on suspicion."""
        every = self._config.close_control_every if close else self._config.control_every
        if self._control is None or self._control[0] != reference:
            self._control = reference, Turns(every, random.SystemRandom())
        self._control[1].every = every

    def load(self, serving: Serving, load_whole: Callable[[Serving], Policy], adopt: Adoption) -> Policy:
        """Load a version to explore by; of an improved version, read only the difference from its base.

        load_whole: loads a version that stands alone, which tells states out of distribution where that is asked for.
        adopt: for all others. May be called from another thread.
        """
        from aegis.hrm import HRMPolicy, base_of, load_version

        models, name = serving.folder.parent, base_of(serving.folder)
        temperature = self.temperature(models / (name or serving.name))
        kept = self._config.kept
        if self._base is not None and self._base[0] != (name or serving.name):
            self._base = self._checked_base = self._loaded_reference = None  # they belong to another base
        if name is None:
            whole = load_whole(serving)
            return keeping(self._sample(whole, temperature), whole, kept, temperature)
        checked = self._checked_base = self._checked_base or load_whole(Serving(name, models / name, ""))
        if self._base is None:
            eager = checked.policy if isinstance(checked, DistributionCheckedPolicy) else checked
            # An eager base on the CPU is held once, for its own answers and for the versions that differ from it.
            held = eager if isinstance(eager, HRMPolicy) and eager.device.type == "cpu" else None
            self._base = (name, held or HRMPolicy.load(models / name))
        quick = self._quick(load_version(serving.folder, self._base[1]), adopt)
        policy = self._sample(check_by_base(quick, checked), temperature)
        if self._control is None:
            return keeping(policy, checked, kept, temperature)
        reference, turns = self._control
        if reference == serving.name or (base_of(models / reference) or reference) != name:
            # This version is the reference, or the reference has another base.
            return keeping(policy, checked, kept, temperature)
        if self._loaded_reference is None or self._loaded_reference.name != reference:
            control = checked
            if reference != name:
                control = self._quick(load_version(models / reference, self._base[1]), adopt)
                control = check_by_base(control, checked)
            self._loaded_reference = self._sample(control, temperature)
        controlled = ControlledPolicy(policy, self._loaded_reference, turns)
        return keeping(controlled, checked, kept, temperature)  # both sides keep it: it counts for neither

    def temperature(self, base: Path) -> float:
        """Return the temperature at which versions of this base draw their actions."""
        return self._config.temperature or exploring_temperature(base)

    def _sample(self, policy: Policy, temperature: float) -> SamplingPolicy:
        return SamplingPolicy(policy, temperature, self._rng)

    def _quick(self, version: HRMPolicy, adopt: Adoption) -> Policy:
        """Return a policy that decides as this version does, compiled where that is possible."""
        policy = version.with_actions(adopt(version.actions))
        quick: Policy = policy
        if self._backend != "eager":
            from aegis.hrm.onnx.export import compile_policy

            try:
                quick = compile_policy(policy)
            except AegisError as error:
                self._say(f"{policy.name} decides by the eager model: {error}")
        quick.decide([{}], policy.actions)  # the first pass takes longest: take it before a decision waits
        return quick
