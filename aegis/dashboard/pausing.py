"""An owner's word on whether the research agent decides: it reads the word before its next decision."""

from __future__ import annotations

import getpass

from aegis.errors import ActionError
from aegis.lifecycle.opening import open_store
from aegis.store import StateKey
from aegis.types import utc_now
from aegis.workspace import Workspace


def set_paused(workspace: Workspace, paused: bool) -> str:
    """Pause the agent of a workspace, or let it decide again; return what is done, in words.

    Raises `ActionError` for a decision point: its own program decides when.
    """
    if workspace.point_name is not None:
        raise ActionError(f"{workspace.point_name} can't be paused here: its own program decides when it asks")
    who = f"{getpass.getuser()} at {utc_now().isoformat(timespec='seconds')}"
    with open_store(workspace) as store:
        store.state.keep_text(StateKey.PAUSED, who if paused else "")
    return "paused: the agent makes no further decision" if paused else "resumed: the agent decides again"
