"""A connection to Ray: an instance of one's own on this machine, or a cluster that runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aegis.errors import ConfigError
from aegis.packages import imports_explained
from aegis.rendering import clean_text

LOCAL = "local"
"""The address that starts Ray on this machine, for this process alone"""


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Connect to Ray while the block runs.

    address: `local`, `auto` for the cluster that runs on this machine, or a cluster's own, e.g. `10.0.0.1:6379`. Raises
    `ConfigError` where nothing answers there, `MissingPackageError` without the extra `ray`.
    """
    with imports_explained("--ray"):
        import ray
    if ray.is_initialized():  # the caller's own, which stays
        yield
        return
    for name in ("ray", "ray._private"):
        logging.getLogger(name).setLevel(logging.ERROR)
    local: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **local)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ConfigError(
            f"--ray {clean_text(address)}: no Ray cluster answers there ({clean_text(str(error), 200)}): start one with"
            f" `ray start --head`, or use --ray local{_advice(address)}"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def _advice(address: str) -> str:
    """Return what a cluster needs that asks for a token; with `auto` Ray finds that out by itself."""
    if address == "auto" or "RAY_AUTH_MODE" in os.environ:
        return ""
    return "; a cluster that asks for a token (`ray start` says so) also needs RAY_AUTH_MODE=token here"


def own_node() -> str:
    """Return the id of the node that this process is connected to."""
    import ray

    return str(ray.get_runtime_context().get_node_id())
