-- The teacher's answers to decisions that other policies made.
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
