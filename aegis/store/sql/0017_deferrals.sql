-- Why a teacher decided in place of an HRM, and which states were unlike the HRM's training (aegis/store/deferral).
-- Only decisions with something to say have a row. It is a remark about the decision, written with it and, like its cost
-- and its call, not in the chain of hashes: the decision itself, with who made it, is.
CREATE TABLE deferrals (
    decision INTEGER PRIMARY KEY REFERENCES decisions (seq) ON DELETE CASCADE,
    handed   INTEGER NOT NULL CHECK (handed IN (0, 1)), -- the teacher decided in place of the HRM
    unsure   INTEGER NOT NULL CHECK (unsure IN (0, 1)), -- the HRM's confidence was below its bound
    unlike   INTEGER NOT NULL CHECK (unlike IN (0, 1))  -- the state was out of the training's distribution
) WITHOUT ROWID;
CREATE INDEX deferrals_unsure ON deferrals (decision) WHERE unsure;
CREATE INDEX deferrals_unlike ON deferrals (decision) WHERE unlike;
CREATE TRIGGER deferrals_refuse_update BEFORE UPDATE ON deferrals
BEGIN SELECT RAISE(ABORT, 'deferrals are append-only: why a decision was handed over stays'); END;
