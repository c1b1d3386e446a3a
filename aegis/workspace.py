"""Where things lie in a workspace: the folder with everything of one agent. It opens and writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

DEFAULT_WORKSPACE = Path("workspace")


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths within a workspace's folder."""

    folder: Path

    @property
    def database(self) -> Path:
        """Decisions, outcomes and the agent's memory."""
        return self.folder / "aegis.db"

    @property
    def search_cache(self) -> Path:
        """Answers of online search providers; can be deleted at any time."""
        return self.folder / "search-cache.db"

    @property
    def checkpoints(self) -> Path:
        """Training as it stood after some epochs, one folder each."""
        return self.folder / "checkpoints"

    @property
    def datasets(self) -> Path:
        """Decisions encoded for training; made again where missing."""
        return self.folder / "datasets"

    @property
    def models(self) -> Path:
        """Trained policies, one folder each."""
        return self.folder / "models"

    @property
    def logs(self) -> Path:
        """What the training process prints."""
        return self.folder / "logs"

    @property
    def tensorboard(self) -> Path:
        """Event files for TensorBoard."""
        return self.folder / "tensorboard"

    @property
    def agent_lock(self) -> Path:
        """Held by the agent that runs by itself, for as long as its process lives."""
        return self.folder / "agent.lock"

    @property
    def improvement_lock(self) -> Path:
        """Held by the process that improves the HRM beside the agent, for as long as it lives."""
        return self.folder / "improvement.lock"

    @property
    def training_lock(self) -> Path:
        """Held by the process that trains, for as long as it lives."""
        return self.folder / "training.lock"
