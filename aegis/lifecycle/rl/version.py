"""A version in phase 4: it is loaded to be changed, decides on the way, and is kept as the next one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aegis.config import KeptAction
from aegis.errors import CheckpointError, ConfigError
from aegis.hrm import HRMPolicy, base_of, load_version, write_delta
from aegis.lifecycle.policies.keeping import keeping
from aegis.lifecycle.rl.judgement import check_kind
from aegis.promotion import ModelRegistry
from aegis.types import Policy

LEARNER_FILE = "learner.safetensors"


def load_pair(folder: Path, device: str) -> tuple[HRMPolicy, HRMPolicy, str]:
    """Return a version as a policy that may be changed, its base as another one, its name; raises as `check_kind`."""
    check_kind(folder.name)
    name = base_of(folder) or folder.name
    base = load_version(folder.parent / name, device=device)
    return load_version(folder, base if name != folder.name else None, device), base, name


def quick_policy(policy: HRMPolicy) -> Policy:
    """Return a policy that decides as this one does now, by ONNX Runtime where possible: in a third of the time."""
    from aegis.hrm.onnx.export import compile_policy

    if policy.device.type != "cpu":
        return policy
    try:
        return compile_policy(policy)
    except (ConfigError, CheckpointError):
        return policy


class Keeper:
    """Puts what phase 4 may not unlearn around a version. base: the HRM before phase 4, which does not change."""

    def __init__(self, base: HRMPolicy, kept: Sequence[KeptAction]) -> None:
        self._base: Policy = quick_policy(base) if kept else base
        self._kept = kept

    def around(self, policy: Policy, temperature: float = 1.0) -> Policy:
        """Return the version as it decides; temperature: of its choices."""
        return keeping(policy, self._base, self._kept, temperature)


def keep_result(
    registry: ModelRegistry,
    pair: tuple[HRMPolicy, HRMPolicy, str],
    learner: Mapping[str, Any],
    source: str,
    record: Mapping[str, Any],
    keep: Sequence[str] = (),
) -> str:
    """Write an improved HRM as the next version; return its name.

    pair: as from `load_pair`, the first one improved. learner: the trainer's state, to continue by. source: what it
    learned from. record: of the improvement. keep: what it takes wherever its base does (`ReinforceConfig.keep`).
    """
    policy, base, base_name = pair

    def save(name: str, folder: Path) -> None:
        write_delta(policy, base.model, base_name, name, folder, {LEARNER_FILE: dict(learner)}, keep)

    figures = {"source": source, "improvement": record, "decisions": record["decisions"]}
    return registry.keep(save, figures | {"parameters": policy.parameters}, base_name)
