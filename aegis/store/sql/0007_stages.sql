-- The stages before a switch are events, too (shadowed, canary, refused). SQLite can't change a check: a new table.
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
