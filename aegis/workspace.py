"""The paths within a workspace, the folder that holds everything of an agent."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from aegis.errors import ConfigError

DEFAULT_WORKSPACE = Path("workspace")
POINTS = "points"
"""The folder within a workspace that holds its decision points"""
_POINT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
HRM, LINEAR, MIXED = "hrm", "linear", "mixed"
"""The kinds of a version: an HRM, a logistic regression on fields and words, and both together (`aegis.hrm.linear`)"""
SHIELDED = "shielded"
"""The kind of an export that holds an improved HRM and its base, of which it keeps actions"""
MODEL_PREFIXES = (f"{HRM}@", f"{LINEAR}@", f"{MIXED}@")
"""The starts of a version's name. All kinds are numbered together: `hrm@1`, `linear@2`, `hrm@3`"""
KIND_WORDS = {
    HRM: "HRM",
    LINEAR: "logistic regression on fields and words",
    MIXED: "HRM and logistic regression together",
}
_VERSION = re.compile(rf"({'|'.join(KIND_WORDS)})@([0-9]+)")


def is_version(name: str) -> bool:
    """Return whether this is the name of a trained version, e.g. `hrm@1`."""
    return _VERSION.fullmatch(name) is not None


def version_kind(name: str) -> str:
    """Return the kind that a version's name says."""
    return name.partition("@")[0]


def version_number(name: str) -> int:
    """Return the number in a version's name."""
    return int(name.partition("@")[2])


def to_point_name(name: str) -> str:
    """Return a name that may name a decision point: letters outside ASCII give way to a digest of the whole name."""
    if name.isascii():
        return name
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip("-_")
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=4).hexdigest()
    return f"{plain[:55]}-{digest}".lstrip("-")


def holds_files(folder: Path) -> bool:
    """Return whether a version's folder holds a file; not if phase 4 prunes the version at this moment."""
    try:
        return any(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return False


@dataclass(frozen=True, slots=True)
class Workspace:
    """The paths within a workspace's folder."""

    folder: Path

    def point(self, name: str) -> Workspace:
        """Return the workspace of a decision point: a folder of its own, so that nothing of two points can mix.

        Raises `ConfigError` for a name that is no plain folder name.
        """
        if not isinstance(name, str) or not _POINT_NAME.fullmatch(name):
            raise ConfigError(
                f"decision point {name!r}: use up to 64 letters, digits, '-' and '_', and begin with a letter or digit"
            )
        return Workspace(self.folder / POINTS / name)

    @property
    def point_name(self) -> str | None:
        """The name of the decision point whose workspace this is; None for an agent's own."""
        return self.folder.name if self.folder.parent.name == POINTS else None

    @property
    def options(self) -> str:
        """The options by which a command finds it, e.g. ` --workspace mine --point router`, with a leading space."""
        if self.point_name is None:
            return f" --workspace {self.folder}"
        agent = self.folder.parent.parent
        return ("" if agent == DEFAULT_WORKSPACE else f" --workspace {agent}") + f" --point {self.point_name}"

    def points(self) -> list[str]:
        """Return the names of the decision points that have a database, sorted."""
        return sorted(path.parent.name for path in (self.folder / POINTS).glob("*/aegis.db"))

    @property
    def database(self) -> Path:
        """Decisions, outcomes and the agent's memory."""
        return self.folder / "aegis.db"

    @property
    def search_cache(self) -> Path:
        """Answers of online search providers; may be deleted at any time."""
        return self.folder / "search-cache.db"

    @property
    def state_index(self) -> Path:
        """The words of the recorded states, for the dashboard's search; made again if missing."""
        return self.folder / "state-index.db"

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

    def versions(self) -> list[Path]:
        """Return the folders of trained versions, the oldest first; one that was reserved may be empty."""
        found = [path for path in self.models.glob("*@*") if is_version(path.name)]
        return sorted(found, key=lambda path: version_number(path.name))

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
    def archive(self) -> Path:
        """Older parts of the record, in Parquet files."""
        return self.folder / "archive"

    @property
    def archive_lock(self) -> Path:
        """Lock held by the process that archives decisions."""
        return self.folder / "archive.lock"

    @property
    def training_lock(self) -> Path:
        """Lock held by the training process while it lives."""
        return self.folder / "training.lock"
