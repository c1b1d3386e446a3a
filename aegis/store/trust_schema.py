"""Migrations for stages before a switch and for the teacher's labels, as scripts. `migrations` applies them."""

from __future__ import annotations

STAGES = """
-- Steps before a switch are events, too (shadowed, canary, refused). SQLite can't change a check: a new table.
CREATE TABLE model_steps (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL CHECK (kind <> ''),
    model    TEXT,
    previous TEXT,
    who      TEXT NOT NULL CHECK (who <> ''),
    reason   TEXT NOT NULL,
    evidence TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(evidence)),
    newest   INTEGER NOT NULL,
    at       TEXT NOT NULL
);
INSERT INTO model_steps (seq, kind, model, previous, who, reason, evidence, newest, at)
    SELECT seq, kind, model, previous, who, reason, evidence, newest, at FROM model_events;
DROP TABLE model_events;
ALTER TABLE model_steps RENAME TO model_events;
CREATE TRIGGER model_events_refuse_update BEFORE UPDATE ON model_events
BEGIN SELECT RAISE(ABORT, 'what served is recorded for good: a change is a new event'); END;
CREATE TRIGGER model_events_refuse_delete BEFORE DELETE ON model_events
BEGIN SELECT RAISE(ABORT, 'what served is recorded for good: a change is a new event'); END;
"""

LABELS = """
-- What the teacher answered to decisions that others had made.
CREATE TABLE labels (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    decision_id   TEXT NOT NULL UNIQUE REFERENCES decisions (id),
    teacher       TEXT NOT NULL,
    probabilities TEXT NOT NULL CHECK (json_valid(probabilities)),
    reason        TEXT NOT NULL,
    labelled_at   TEXT NOT NULL
);
CREATE TRIGGER labels_refuse_update BEFORE UPDATE ON labels
BEGIN SELECT RAISE(ABORT, 'labels are append-only: the first one of a decision stays'); END;
CREATE TRIGGER labels_refuse_delete BEFORE DELETE ON labels
BEGIN SELECT RAISE(ABORT, 'labels are append-only: the first one of a decision stays'); END;
"""

PROPENSITIES = """
-- The probability with which the action was drawn; NULL where nothing was drawn, and before this was recorded.
ALTER TABLE decisions ADD COLUMN propensity REAL
    CHECK (propensity IS NULL OR (typeof(propensity) = 'real' AND propensity > 0 AND propensity <= 1));
"""
