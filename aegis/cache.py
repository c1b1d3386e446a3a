"""The cache folder: the search index, unpacked teachers, and whatever else can be made again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the user's cache folder for AEGIS. The environment variable AEGIS_CACHE overrides it."""
    chosen = os.environ.get("AEGIS_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("aegis-hrm"))
