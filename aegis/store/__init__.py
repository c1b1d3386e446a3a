"""The store: a workspace's database of decisions and outcomes, and files of them. It knows no agent and no model.

Database            opens the workspace's one SQLite database; transactions
DecisionStore       appends decisions and outcomes and reads them back; claims the workspace for its teacher
LabelBook           what another policy answers to a decision
RecordedDecisions   the decisions of a workspace as a sequence, read page by page
WorkspaceState      the values beside the tables, under the keys of `StateKey`
UsageLedger         counts the tokens that an endpoint charged for
read_tallies …      sums by policy and action, without reading every decision
ImprovementLog      the updates of phase 4, and the decisions they learn from
TrainingLog         the trainings that run or have ended
read_examples …     JSON and JSONL files in and out; each bad record named by its position and reason
"""

from __future__ import annotations

from aegis.store.database import Database
from aegis.store.decisions import DecisionStore, Example, NumberedExample, TeacherClaim
from aegis.store.exchange import (
    ExchangeResult,
    ImportReport,
    RejectedRecord,
    export_examples,
    import_examples,
    read_examples,
    write_examples,
)
from aegis.store.improvement_log import SINCE, Drawn, Improvement, ImprovementLog, Rewarded
from aegis.store.label import Comparison, LabelBook
from aegis.store.recorded import RecordedDecisions
from aegis.store.state import StateKey, UsageLedger, WorkspaceState
from aegis.store.tally import RecentSearches, Tally, count_recent_searches, read_tallies
from aegis.store.training_log import TrainingLog, TrainingRecord

__all__ = [
    "SINCE",
    "Comparison",
    "Database",
    "DecisionStore",
    "Drawn",
    "Example",
    "ExchangeResult",
    "ImportReport",
    "Improvement",
    "ImprovementLog",
    "LabelBook",
    "NumberedExample",
    "RecentSearches",
    "RecordedDecisions",
    "RejectedRecord",
    "Rewarded",
    "StateKey",
    "Tally",
    "TeacherClaim",
    "TrainingLog",
    "TrainingRecord",
    "UsageLedger",
    "WorkspaceState",
    "count_recent_searches",
    "export_examples",
    "import_examples",
    "read_examples",
    "read_tallies",
    "write_examples",
]
