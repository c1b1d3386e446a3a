"""The paths within a workspace, the folder that holds everything of an agent."""

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
        """Answers of online search providers; may be deleted at any time."""
        return self.folder / "search-cache.db"

    @property
    def checkpoints(self) -> Path:
        """Training's state after some of its epochs, a folder each."""
        return self.folder / "checkpoints"

    @property
    def datasets(self) -> Path:
        """Decisions encoded for training; made again if missing."""
        return self.folder / "datasets"

    @property
    def models(self) -> Path:
        """Trained policies, a folder each."""
        return self.folder / "models"

    @property
    def logs(self) -> Path:
        """The output of the training process."""
        return self.folder / "logs"

    @property
    def tensorboard(self) -> Path:
        """Event files for TensorBoard."""
        return self.folder / "tensorboard"

    @property
    def agent_lock(self) -> Path:
        """Lock held by the autonomous agent while its process lives."""
        return self.folder / "agent.lock"

    @property
    def improvement_lock(self) -> Path:
        """Lock held by the process that improves the HRM beside the agent, while it lives."""
        return self.folder / "improvement.lock"

    @property
    def training_lock(self) -> Path:
        """Lock held by the training process while it lives."""
        return self.folder / "training.lock"
