"""Where things that can be made again are kept between runs (search index, unpacked teachers); it makes none itself."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the user's cache folder for AEGIS; the environment variable AEGIS_CACHE puts it elsewhere."""
    chosen = os.environ.get("AEGIS_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("aegis-hrm"))
