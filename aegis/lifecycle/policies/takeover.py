"""The HRM that serves, loaded beside the policy that still decides, so that the switch takes no time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from aegis.agent import RESEARCH_ACTIONS
from aegis.lifecycle.collection import find_serving, open_store
from aegis.lifecycle.policies.tempered import ControlledPolicy
from aegis.lifecycle.rl.supervisor import Learning
from aegis.promotion import Serving
from aegis.store import DecisionStore
from aegis.types import Policy, Progress, State
from aegis.workspace import Workspace

_RETRY_SECONDS = 30.0
_CLOSE_SECONDS = 10.0


class Takeover:
    """Loads what serves, at once or in a thread of its own; wrap: returns what is to decide, of what was loaded."""

    def __init__(
        self,
        workspace: Workspace,
        device: str,
        backend: str = "auto",
        wrap: Callable[[Policy, Serving], Policy] = lambda policy, serving: policy,
        learning: Learning | None = None,
        progress: Progress = lambda what, done, total: None,
    ) -> None:
        """learning: says how a version is loaded while it learns. progress hears of `load_now`, in its thread."""
        self._progress = progress
        self._learning = learning
        self._workspace = workspace
        self._device = device
        self._backend = backend
        self._wrap = wrap
        self._thread: threading.Thread | None = None
        self._policy: Policy | None = None
        self._failed_at = 0.0
        self.name: str | None = None
        """Of the HRM that was loaded last"""
        self.fault = ""
        """Why loading failed, until it is taken"""

    def load_now(self, store: DecisionStore) -> Policy | None:
        """Return the HRM that serves, or None while the teacher does; raises `CheckpointError` when it is torn."""
        serving = find_serving(store, self._workspace)
        if serving is None:
            return None
        self._progress(f"Loading {serving.name}", 0, 0)
        self._policy = self._wrap(self._load(serving), serving)
        self._progress("", 0, 0)
        self.name = serving.name
        return self._policy

    def load(self, serving: Serving) -> Policy:
        """Load an HRM in the thread that asks, and remember nothing; raises `CheckpointError` when it is torn."""
        return self._load(serving)

    def loaded(self, serving: Serving) -> Policy | None:
        """Return this HRM once it is loaded; the first call starts to load it."""
        if self.name == serving.name:
            return self._policy
        waits = self._failed_at and time.monotonic() - self._failed_at < _RETRY_SECONDS
        if self._thread is None and not waits:
            self._thread = threading.Thread(target=self._load_aside, args=(serving,), name="takeover", daemon=True)
            self._thread.start()
        return None

    def forget(self) -> str | None:
        """Let go of the HRM that was loaded last, and return its name."""
        name, self.name, self._policy = self.name, None, None
        return name

    def close(self) -> None:
        """Wait for what is being loaded: a process that ends within torch's code is aborted."""
        thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def take_fault(self) -> str:
        """Return why loading failed, once."""
        fault, self.fault = self.fault, ""
        return fault

    def _load_aside(self, serving: Serving) -> None:
        try:
            self._policy = self._wrap(self._load(serving), serving)
            self.name = serving.name
        except Exception as error:  # whatever it is, the policy before it goes on deciding
            self.fault, self._failed_at = str(error) or type(error).__name__, time.monotonic()
        finally:
            self._thread = None

    def _load(self, serving: Serving) -> Policy:
        policy = self._learning.load(serving, self._load_whole) if self._learning else self._load_whole(serving)
        # The first pass takes longest: not at a decision. A control's turn is none of this.
        (policy.improved if isinstance(policy, ControlledPolicy) else policy).probabilities([{}], RESEARCH_ACTIONS)
        return policy

    def _load_whole(self, serving: Serving) -> Policy:
        from aegis.hrm import load_policy

        return load_policy(serving.folder, self._device, self._backend, self._examples)

    def _examples(self) -> list[tuple[State, str]]:
        from aegis.lifecycle.policies.loading import heldout_examples

        with open_store(self._workspace) as store:  # a thread of its own, a connection of its own
            return heldout_examples(store)
