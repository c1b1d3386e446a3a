"""What one training is to do: one object, from the scheduler through the database to the process that trains."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict, dataclass, field
from typing import Any

from aegis.bounds import parse_json
from aegis.config import GateConfig, HRMConfig, RolloutConfig, TrainingConfig
from aegis.config.check import check
from aegis.errors import ConfigError

_PARTS = {"training": TrainingConfig, "gate": GateConfig, "model": HRMConfig, "rollout": RolloutConfig}


@dataclass(frozen=True, slots=True)
class SettingTrial:
    """A change of one setting that a training tries, beside a run without it."""

    name: str
    """A field of `TrainingConfig` or `HRMConfig`"""
    value: Any


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Everything that one training is to do."""

    training: TrainingConfig = field(default_factory=TrainingConfig)
    """How the HRM learns"""
    gate: GateConfig = field(default_factory=GateConfig)
    """What the trained HRM must show on held-out decisions"""
    model: HRMConfig = field(default_factory=HRMConfig)
    """Shape of the HRM"""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    """How the HRM begins to decide, once the gate lets it"""
    trial: SettingTrial | None = None
    """A change that a second run tries; None: there is one run"""
    last_label: int = 0
    """Place of the last label that it learns from (`LabelBook.newest`); 0: from none"""

    def __post_init__(self) -> None:
        check(self.last_label >= 0, f"TrainingPlan.last_label must not be negative, is {self.last_label}")

    def with_changes(self, part: str, changes: dict[str, Any]) -> TrainingPlan:
        """Return the plan with some fields of one part changed; part: `training`, `gate`, `model` or `rollout`.

        Raises `ConfigError` for a value out of bounds.
        """
        changed: dict[str, Any] = {part: dataclasses.replace(getattr(self, part), **changes)}
        return dataclasses.replace(self, **changed)

    def with_trial(self) -> TrainingPlan:
        """Return the plan with the change that it is to try, in the part that has a setting of this name.

        Raises `ConfigError` where neither the training nor the model has one.
        """
        if self.trial is None:
            return self
        for part in ("training", "model"):
            if hasattr(getattr(self, part), self.trial.name):
                return self.with_changes(part, {self.trial.name: self.trial.value})
        raise ConfigError(f"the plan's `trial` names {self.trial.name!r}, which is no setting of a training or a model")

    def to_json(self) -> str:
        """Return the plan as JSON, which `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> TrainingPlan:
        """Read a plan; what an earlier version did not write yet has its default.

        Raises `ConfigError` for text that is no plan, and names the part and the field.
        """
        try:
            document = parse_json(text)
        except ValueError as error:
            raise ConfigError(f"the plan is no JSON ({error})") from error
        if not isinstance(document, dict):
            raise ConfigError(f"the plan must be a JSON object, not {document!r}")
        trial = document.get("trial")
        return cls(
            **{part: _read(part, kind, document.get(part, {})) for part, kind in _PARTS.items()},
            trial=None if trial is None else _read("trial", SettingTrial, trial),
            last_label=_read_number("last_label", document.get("last_label", 0)),
        )


def _read(part: str, kind: type[Any], fields: Any) -> Any:
    """Return one part of a plan from its fields."""
    if not isinstance(fields, dict):
        raise ConfigError(f"the plan's `{part}` must be a JSON object, not {fields!r}")
    unknown = fields.keys() - {one.name for one in dataclasses.fields(kind)}
    if unknown:
        raise ConfigError(
            f"the plan's `{part}` has fields that this version of AEGIS does not know ({', '.join(sorted(unknown))}):"
            " a later version wrote it: update AEGIS"
        )
    try:
        return kind(**fields)
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"the plan's `{part}` can't be used: {error}") from error


def _read_number(name: str, value: Any) -> int:
    if not isinstance(value, int):
        raise ConfigError(f"the plan's `{name}` must be a whole number, not {value!r}")
    return value
