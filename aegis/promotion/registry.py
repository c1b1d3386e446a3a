"""Which policy serves in a workspace, and the trained policies kept there. It judges and loads none of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aegis.errors import StoreError
from aegis.store import DecisionStore
from aegis.types import utc_now
from aegis.workspace import Workspace

_SERVING_KEY = "serving"


@dataclass(frozen=True, slots=True)
class Serving:
    """The trained policy that decides in a workspace."""

    name: str
    """As in its decisions, e.g. `hrm@1`"""
    folder: Path
    promoted_at: str


class ModelRegistry:
    """The trained policies of one workspace, named `hrm@1`, `hrm@2`, ... in the order of their promotion."""

    def __init__(self, store: DecisionStore, workspace: Workspace) -> None:
        self._store = store
        self._workspace = workspace

    def serving(self) -> Serving | None:
        """Return the policy that serves, or None while the teacher does."""
        text = self._store.get_meta(_SERVING_KEY)
        if text is None:
            return None
        try:
            fields = json.loads(text)
            return Serving(fields["name"], self._workspace.models / fields["name"], fields["promoted_at"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{self._workspace.database}: what serves is recorded out of form ({error})") from error

    def promote(self, save: Callable[[str, Path], None]) -> Serving:
        """Keep a policy under the next name and let it serve; `save` writes it, given its name and folder.

        It serves only once it is wholly written; a kill before that leaves the one before it serving.
        """
        name, folder = self._reserve()
        # Not within a transaction: the agent that decides meanwhile must not wait until the weights are written.
        save(name, folder)
        promoted_at = utc_now().isoformat()
        self._store.set_meta(_SERVING_KEY, json.dumps({"name": name, "promoted_at": promoted_at}))
        return Serving(name, folder, promoted_at)

    def _reserve(self) -> tuple[str, Path]:
        """Return the next name, taken by making its folder, so that no two promotions write into one."""
        self._workspace.models.mkdir(parents=True, exist_ok=True)
        taken = [int(path.name.removeprefix("hrm@")) for path in self._workspace.models.glob("hrm@[0-9]*")]
        number = max(taken, default=0) + 1
        while True:
            folder = self._workspace.models / f"hrm@{number}"
            try:
                folder.mkdir()
                return folder.name, folder
            except FileExistsError:
                number += 1
