-- The request to a language model that a decision answers: how its response is known, and what it took.
CREATE TABLE calls (
    decision_id TEXT PRIMARY KEY REFERENCES decisions (id),
    response_id TEXT NOT NULL,
    model       TEXT,             -- that was asked; NULL where the HRM answered and nobody was
    share       REAL NOT NULL CHECK (share > 0 AND share <= 1), -- of the request: several decisions may share one
    read        INTEGER,          -- tokens of the whole request; NULL where the response does not say
    written     INTEGER,
    seconds     REAL NOT NULL CHECK (seconds >= 0)
) WITHOUT ROWID;
CREATE INDEX calls_by_response ON calls (response_id);
CREATE TRIGGER calls_refuse_update BEFORE UPDATE ON calls
BEGIN SELECT RAISE(ABORT, 'calls are append-only: what a request took stays'); END;
CREATE TRIGGER calls_refuse_delete BEFORE DELETE ON calls
BEGIN SELECT RAISE(ABORT, 'calls are append-only: what a request took stays'); END;
