-- Parts of the record that were moved into Parquet files (aegis/store/archive): each holds the chain between two places.
-- What is counted, joined and looked up stays in the rows. Their bulky columns are then the JSON text null, or empty.
CREATE TABLE archives (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    file          TEXT NOT NULL UNIQUE CHECK (file <> ''), -- in the folder archive/ beside the database
    first_place   INTEGER NOT NULL,  -- in the chain
    last_place    INTEGER NOT NULL CHECK (last_place >= first_place),
    decisions     INTEGER NOT NULL,  -- entries of the file that were not erased when it was written
    outcomes      INTEGER NOT NULL,
    labels        INTEGER NOT NULL,
    last_decision INTEGER NOT NULL,  -- the highest number up to the end of this file; 0 before the first
    last_outcome  INTEGER NOT NULL,
    last_label    INTEGER NOT NULL,
    link          TEXT NOT NULL,     -- of its last entry, hexadecimal
    bytes         INTEGER NOT NULL,
    sha256        TEXT NOT NULL,
    archived_at   TEXT NOT NULL
);
CREATE TRIGGER archives_refuse_delete BEFORE DELETE ON archives
BEGIN SELECT RAISE(ABORT, 'archives are append-only: they hold parts of the record'); END;
-- `aegis forget` writes a file anew, under another name.
CREATE TRIGGER archives_refuse_update BEFORE UPDATE ON archives
WHEN NEW.seq <> OLD.seq OR NEW.first_place <> OLD.first_place OR NEW.last_place <> OLD.last_place
    OR NEW.last_decision <> OLD.last_decision OR NEW.last_outcome <> OLD.last_outcome
    OR NEW.last_label <> OLD.last_label OR NEW.link <> OLD.link
BEGIN SELECT RAISE(ABORT, 'archives are append-only: they hold parts of the record'); END;

DROP TRIGGER decisions_refuse_update;
CREATE TRIGGER decisions_refuse_update BEFORE UPDATE ON decisions
WHEN OLD.seq > (SELECT COALESCE(MAX(last_decision), 0) FROM archives)
    OR NEW.state <> 'null' OR NEW.actions <> 'null' OR NEW.argument <> 'null' OR NEW.probabilities IS NOT NULL
    OR NEW.seq <> OLD.seq OR NEW.id <> OLD.id OR NEW.episode <> OLD.episode OR NEW.step <> OLD.step
    OR NEW.action <> OLD.action OR NEW.policy <> OLD.policy OR NEW.decided_at <> OLD.decided_at
    OR NEW.propensity IS NOT OLD.propensity
BEGIN SELECT RAISE(ABORT, 'decisions are append-only: what came of one is recorded as an outcome'); END;

DROP TRIGGER outcomes_refuse_update;
CREATE TRIGGER outcomes_refuse_update BEFORE UPDATE ON outcomes
WHEN OLD.seq > (SELECT COALESCE(MAX(last_outcome), 0) FROM archives)
    OR NEW.detail <> '' OR NEW.result <> 'null' OR NEW.components <> 'null'
    OR NEW.seq <> OLD.seq OR NEW.decision_id <> OLD.decision_id OR NEW.status <> OLD.status
    OR NEW.gained <> OLD.gained OR NEW.reward IS NOT OLD.reward OR NEW.recorded_at <> OLD.recorded_at
BEGIN SELECT RAISE(ABORT, 'outcomes are append-only: a newer outcome is a new row'); END;

DROP TRIGGER labels_refuse_update;
CREATE TRIGGER labels_refuse_update BEFORE UPDATE ON labels
WHEN OLD.seq > (SELECT COALESCE(MAX(last_label), 0) FROM archives)
    OR NEW.probabilities <> 'null' OR NEW.seq <> OLD.seq OR NEW.decision_id <> OLD.decision_id
    OR NEW.teacher <> OLD.teacher OR NEW.reason <> OLD.reason OR NEW.labelled_at <> OLD.labelled_at
BEGIN SELECT RAISE(ABORT, 'labels are append-only: the first one of a decision stays'); END;

-- The newest entry stays: the next one follows it.
DROP TRIGGER chain_refuse_delete;
CREATE TRIGGER chain_refuse_delete BEFORE DELETE ON chain
WHEN OLD.place > (SELECT COALESCE(MAX(last_place), -1) FROM archives) OR OLD.place = (SELECT MAX(place) FROM chain)
BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;
