"""The requests to language models that decisions answered: how they are known, and what they took.

book   the table of calls: appended, found by the response's id, summed up
"""

from aegis.store.calls.book import Call, CallBook, CallSum

__all__ = ["Call", "CallBook", "CallSum"]
