"""Keys and addresses of a command's environment, for the actor on its machine that asks an endpoint.

The processes of a running cluster have the environment of `ray start`. Ray would carry a variable to its other machines
and write it into its logs. So the variables stand in a file of this machine that its user alone can read, until the
command ends. An actor that is started again reads it again.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from aegis.errors import TeacherError

VARIABLES = (
    "OPENAI_API_KEY",
    "OPENAI_API_KEY_FILE",
    "AEGIS_BASE_URL",
    "OPENAI_BASE_URL",
    "AEGIS_DATABASE_PASSWORD",  # of the workspace's database, where tokens are counted
    "AEGIS_DATABASE_PASSWORD_FILE",
    "PGPASSWORD",
    "PGPASSFILE",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
)
"""What is lent, where it is set"""
_PATHS = ("OPENAI_API_KEY_FILE", "AEGIS_DATABASE_PASSWORD_FILE", "PGPASSFILE", "SSL_CERT_FILE")


def lend(environment: Mapping[str, str] = os.environ) -> Path:
    """Write the variables into a new file, and return it; `take_back` removes it."""
    given = {name: environment[name] for name in VARIABLES if environment.get(name)}
    given |= {name: str(Path(given[name]).absolute()) for name in _PATHS if name in given}
    path = Path(tempfile.mkdtemp(prefix="aegis-lent-")) / "environment.json"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(given, file)
    return path


def borrow(path: Path) -> None:
    """Set the variables of the file in this process; raises `TeacherError` where it can't be read."""
    try:
        os.environ.update(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TeacherError(
            f"the key for the endpoint can't be read from {path} ({error.strerror}): start Ray on the machine of the"
            " command as the same user"
        ) from error


def take_back(path: Path) -> None:
    """Remove the file."""
    shutil.rmtree(path.parent, ignore_errors=True)
