"""The check that refuses a setting out of its bounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aegis.errors import ConfigError

ANY_ITEM = "*"
"""In a path of a state's field: every item of a list."""


def check(condition: bool, message: str) -> None:
    """Raise `ConfigError` with this message unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def check_paths(exclude: Sequence[str], rename: Mapping[str, str]) -> None:
    """Raise `ConfigError` for a path of bad form, a new name that is none, or a path to be left out and renamed."""
    if isinstance(exclude, str):
        raise ConfigError(f"exclude is a list of paths, not the text {exclude!r}: write [{exclude!r}]")
    for path in (*exclude, *rename):
        steps = path.split(".") if isinstance(path, str) else []
        if not steps or not all(step.strip() for step in steps) or steps[0] == ANY_ITEM:
            raise ConfigError(
                f"the path {path!r} is out of form: write keys with dots between, and * for every item of a list,"
                " e.g. customer.email or messages.*.name"
            )
        if path in rename:
            name = rename[path]
            if not isinstance(name, str) or not name.strip() or "." in name or ANY_ITEM in (name, steps[-1]):
                raise ConfigError(
                    f"rename {path!r} to {name!r}: name a field, not an item, and give a new name without dots"
                )
            if path in exclude:
                raise ConfigError(f"{path!r} is left out and renamed: do one of both")
