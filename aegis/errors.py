"""Every exception that AEGIS raises on purpose; nothing here imports anything.

    AegisError                      base: catch this to catch them all
    ├── ConfigError                 an option or a field of a configuration is out of its bounds
    │   └── MissingPackageError     an option needs a package that is not installed
    ├── DataError                   a file or a record is malformed (the message has the place and the reason)
    ├── StoreError                  the workspace's database can't be opened, read or written
    │   ├── DamagedArchiveError     a file of archived decisions is missing or can't be read
    │   └── TeacherMismatchError    the workspace already belongs to another teacher
    ├── NotEnoughDataError          too few decisions to train or to judge
    ├── CheckpointError             a checkpoint is missing, torn or of another shape
    │   └── ChangedModelError       a version's file is another than when it was judged
    ├── TeacherError                a teacher can't be loaded or can't decide
    │   ├── BudgetError             the tokens or the money for a teacher are used up
    │   └── NobodyDecidesError      no HRM can decide, and whoever asks is to decide (carries the actions)
    ├── RequestError                an HTTP request failed for good (carries status and body)
    ├── PolicyFailedError           a policy could not decide this time (`__cause__` is the exception it raised)
    ├── SearchError                 a search provider failed or timed out
    ├── ActionError                 an action can't be carried out
    └── ContractError               a policy or a teacher breaks the contract of `aegis.testing`

The message names what was wrong, where, and what to do. The command line prints it and exits with 2.
"""

from __future__ import annotations

from collections.abc import Sequence


class AegisError(Exception):
    """Base of every exception raised on purpose."""


class ConfigError(AegisError, ValueError):
    """An option or a configuration field is out of its bounds."""


class MissingPackageError(ConfigError):
    """A package is not installed; the message names what needs it and the command to type (see `aegis.packages`)."""


class DataError(AegisError, ValueError):
    """A file or a record is malformed."""


class StoreError(AegisError):
    """The workspace's database can't be opened, read or written."""


class DamagedArchiveError(StoreError):
    """A file of archived decisions is missing, or can't be read."""


class TeacherMismatchError(StoreError):
    """The workspace already belongs to another teacher (one workspace, one teacher)."""


class NotEnoughDataError(AegisError):
    """There are too few decisions to train on or to judge by."""


class CheckpointError(AegisError):
    """A checkpoint is missing, torn, or does not fit the model."""


class ChangedModelError(CheckpointError):
    """A file of a kept version is missing, or another than when the version was judged: it must not decide."""


class TeacherError(AegisError):
    """A teacher can't be loaded or can't decide."""


class BudgetError(TeacherError):
    """The tokens or the money that a teacher may use are used up: it decides nothing any more."""


class NobodyDecidesError(TeacherError):
    """No HRM can decide and no teacher can be asked here: whoever asks is to decide."""

    def __init__(self, message: str, actions: Sequence[str]) -> None:
        super().__init__(message)
        self.actions = tuple(actions)


class RequestError(AegisError):
    """An HTTP request failed for good. The `TeacherError` or `SearchError` raised from it names its purpose."""

    def __init__(self, message: str, status: int | None = None, body: bytes = b"") -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class PolicyFailedError(AegisError):
    """A policy could not decide this time; nothing was recorded. `__cause__` is the exception it raised."""


class SearchError(AegisError):
    """A search provider failed or timed out."""


class ActionError(AegisError):
    """An action can't be carried out."""


class ContractError(AegisError):
    """A policy or a teacher breaks the contract that `aegis.testing` checks."""
