-- Every HRM kept, with what it was trained on and its figures.
CREATE TABLE models (
    name    TEXT PRIMARY KEY NOT NULL,
    figures TEXT NOT NULL CHECK (json_valid(figures)),
    made_at TEXT NOT NULL
);

-- Who switched to which policy, and why; model, previous: NULL stands for the teacher.
CREATE TABLE model_events (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL CHECK (kind IN ('promoted', 'rolled_back', 'warned')),
    model    TEXT,
    previous TEXT,
    who      TEXT NOT NULL CHECK (who <> ''),
    reason   TEXT NOT NULL,
    evidence TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(evidence)),
    newest   INTEGER NOT NULL,
    at       TEXT NOT NULL
);
CREATE TRIGGER model_events_refuse_update BEFORE UPDATE ON model_events
BEGIN SELECT RAISE(ABORT, 'what served is recorded for good: a change is a new event'); END;
CREATE TRIGGER model_events_refuse_delete BEFORE DELETE ON model_events
BEGIN SELECT RAISE(ABORT, 'what served is recorded for good: a change is a new event'); END;
