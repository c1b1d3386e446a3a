"""Versions of the HRM loaded to explore by while phase 4 learns beside the agent: their actions are drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aegis.config import ReinforceConfig
from aegis.errors import AegisError
from aegis.lifecycle.point import Adoption
from aegis.lifecycle.policies.tempered import ControlledPolicy, SamplingPolicy, Turns, exploring_temperature
from aegis.promotion import Serving
from aegis.types import Policy

if TYPE_CHECKING:
    from aegis.hrm import HRMPolicy


class Exploration:
    """Loads versions that draw their actions; an improved version comes with the reference that it is compared with.

    rng: draws the actions of all versions. backend: `load_policy`'s. say hears why an eager model decides.
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
        self._turns = Turns(config.control_every)
        self._base: tuple[str, Any] | None = None
        self._reference: str | None = None
        self._loaded_reference: Policy | None = None

    def compare_with(self, reference: str, made: int) -> None:
        """Let this version make the control's decisions. made: decisions since phase 4 began."""
        self._reference = reference
        if not self._turns.begun:
            self._turns.begin(made)

    def load(self, serving: Serving, load_whole: Callable[[Serving], Policy], adopt: Adoption) -> Policy:
        """Load a version to explore by; of an improved version, read only the difference from its base.

        load_whole: loads a version that stands alone. adopt: for all others. May be called from another thread.
        """
        from aegis.hrm import HRMPolicy, base_of, load_version

        models, name = serving.folder.parent, base_of(serving.folder)
        temperature = self.temperature(models / (name or serving.name))
        if name is None:
            return self._sample(load_whole(serving), temperature)
        if self._base is None or self._base[0] != name:
            self._base = (name, HRMPolicy.load(models / name))
        policy = self._sample(self._quick(load_version(serving.folder, self._base[1]), adopt), temperature)
        reference = self._reference
        if reference is None or reference == serving.name or (base_of(models / reference) or reference) != name:
            return policy  # this version is the reference, or the reference has another base
        if self._loaded_reference is None or self._loaded_reference.name != reference:
            whole = self._base[1] if reference == name else load_version(models / reference, self._base[1])
            self._loaded_reference = self._sample(self._quick(whole, adopt), temperature)
        return ControlledPolicy(policy, self._loaded_reference, self._turns)

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
