-- An improved HRM is kept as its difference to this base; NULL: kept whole.
ALTER TABLE models ADD COLUMN base TEXT;

-- Updates by policy gradient, the curve of phase 4. outcomes: the place up to which outcomes are learned from.
CREATE TABLE improvements (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    base        TEXT NOT NULL,
    model       TEXT,
    decision    INTEGER NOT NULL,
    outcomes    INTEGER NOT NULL,
    learned     INTEGER NOT NULL,
    results     TEXT NOT NULL CHECK (json_valid(results)),
    recorded_at TEXT NOT NULL
);
CREATE INDEX improvements_by_base ON improvements (base, seq);
