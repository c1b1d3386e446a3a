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
    def reports(self) -> Path:
        return self.folder / "reports"
