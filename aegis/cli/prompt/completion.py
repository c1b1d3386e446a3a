"""Completion at the prompt: commands, and the numbers of waiting questions and proposals."""

from __future__ import annotations

from collections.abc import Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document

from aegis.cli.prompt.command import COMMANDS
from aegis.errors import AegisError
from aegis.lifecycle import open_store
from aegis.rendering import clean_text
from aegis.research import ApprovalQueue, Inbox
from aegis.workspace import Workspace


class CommandCompleter(Completer):
    """Completes a command's name, then its first argument if there is a choice."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield the possible completions of the line."""
        name, space, rest = document.text_before_cursor.lstrip().partition(" ")
        if not space:
            for spec in COMMANDS:
                if spec.name.startswith(name.lower()):
                    yield Completion(spec.name, -len(name), display_meta=spec.summary)
        elif name == "export":
            yield from self._paths.get_completions(Document(rest, len(rest)), complete_event)
        elif name == "help":
            yield from (Completion(spec.name, -len(rest)) for spec in COMMANDS if spec.name.startswith(rest))
        elif " " not in rest:
            for number, meaning in self._waiting(name):
                if str(number).startswith(rest):
                    yield Completion(str(number), -len(rest), display_meta=clean_text(meaning, 60))

    def _waiting(self, name: str) -> list[tuple[int, str]]:
        if name not in ("answer", "approve", "reject"):
            return []
        try:
            with open_store(self._workspace) as store:
                if name == "answer":
                    return [(asked.id, asked.question) for asked in Inbox(store.database).waiting()]
                return [(queued.id, queued.aspect) for queued in ApprovalQueue(store.database).pending()]
        except AegisError:
            return []
