"""Keys, from the environment or from a file that others of this machine can't read; never from a command line."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from aegis.errors import ConfigError

_MOST_CHARACTERS = 10_000


def read_secret(variable: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the secret in a variable, or in the file that the variable with `_FILE` behind its name leads to.

    '' where neither is set. Raises `ConfigError`, which never shows the secret, for a file that can't be read or that
    everybody can read, and for what no header of a request can hold.
    """
    secret, where = environment.get(variable, "").strip(), variable
    if not secret and (name := environment.get(f"{variable}_FILE", "").strip()):
        where = f"{variable}_FILE {name}"
        secret = _read(Path(name), where)
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigError(f"{where}: holds a space or a character that no key has: copy the key again")
    return secret


def has_secret(variable: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a secret is set, without reading it."""
    return variable in environment or f"{variable}_FILE" in environment


def _read(path: Path, where: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            if os.name == "posix" and os.fstat(file.fileno()).st_mode & stat.S_IRWXO:
                raise ConfigError(f"{where}: everybody on this machine can read it: chmod 600 {path}")
            return file.read(_MOST_CHARACTERS).strip()
    except OSError as error:
        raise ConfigError(f"{where}: can't be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{where}: not UTF-8 text: put the key alone into the file") from None
