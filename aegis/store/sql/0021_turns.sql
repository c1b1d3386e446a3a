-- Which drawn stretch a decision belongs to, while phase 4 compares an HRM with its reference (`ImprovementLog`). Only
-- such decisions have a row. As why a decision was deferred, it is a remark, written with it and not in the chain of hashes.
CREATE TABLE turns (
    decision INTEGER PRIMARY KEY REFERENCES decisions (seq) ON DELETE CASCADE,
    series   INTEGER NOT NULL, -- whose draws: a random number for each process and reference
    stretch  INTEGER NOT NULL  -- its number among these, from 0
) WITHOUT ROWID;
CREATE TRIGGER turns_refuse_update BEFORE UPDATE ON turns
BEGIN SELECT RAISE(ABORT, 'turns are append-only: what was drawn stays'); END;
