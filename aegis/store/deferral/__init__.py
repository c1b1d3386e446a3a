"""Why a teacher decided in place of an HRM, and which states were unlike the HRM's training: the table is `book`."""

from aegis.store.deferral.book import note_deferral

__all__ = ["note_deferral"]
