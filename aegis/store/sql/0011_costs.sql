-- What a decision cost whoever made it, in dollars; no row where nobody said.
CREATE TABLE costs (
    decision_id TEXT PRIMARY KEY REFERENCES decisions (id),
    dollars     REAL NOT NULL CHECK (typeof(dollars) = 'real' AND dollars >= 0)
) WITHOUT ROWID;
CREATE TRIGGER costs_refuse_update BEFORE UPDATE ON costs
BEGIN SELECT RAISE(ABORT, 'costs are append-only: what a decision cost stays'); END;
CREATE TRIGGER costs_refuse_delete BEFORE DELETE ON costs
BEGIN SELECT RAISE(ABORT, 'costs are append-only: what a decision cost stays'); END;
