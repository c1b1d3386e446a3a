"""What the page shows of every place at one moment, as the routes answer it."""

from __future__ import annotations

from typing import Any

from aegis import __version__
from aegis.dashboard import inbox, knowledge, learning, model
from aegis.dashboard.decisions import heldout, listing
from aegis.dashboard.decisions.filter import Filter
from aegis.dashboard.place import Places
from aegis.errors import DataError
from aegis.types import utc_now
from aegis.workspace import Workspace

DECISIONS = 12
"""The newest decisions of each place in a report"""

Record = dict[str, dict[str, Any]]
"""For each route of the page its answer by place"""


def read_record(places: Places) -> Record:
    """Return what the page shows of every place. Nobody counts as having looked at the inbox."""
    status: dict[str, Any] = {
        "version": __version__,
        "read_only": True,
        "at": utc_now().isoformat(),
    } | places.to_record()
    record: Record = {"status": {"": status}}
    for shown in status["places"]:
        name, place = shown["name"], places.find(shown["name"])
        versions = model.read_versions(place)
        answers = {
            "decisions": listing.list_page(place, Filter(), rows=DECISIONS),
            "learning": learning.read_learning(place),
            "models": versions,
            "compare": _compare(place, versions),
        }
        if shown["can_pause"]:  # the agent's: a decision point has neither
            answers |= {"inbox": inbox.read_inbox(place, sees=False), "knowledge": knowledge.read_knowledge(place)}
        for route, answer in answers.items():
            record.setdefault(route, {})[name] = answer
    return record


def _compare(place: Workspace, versions: dict[str, Any]) -> dict[str, Any] | None:
    """Return the comparison that the page offers first, None where it offers none."""
    trained = [one["name"] for one in versions["versions"] if not one["base"]]
    if len(trained) < 2:
        return None
    try:
        return heldout.compare_versions(place, trained[0], trained[1])
    except DataError:  # one of them kept no answers
        return None
