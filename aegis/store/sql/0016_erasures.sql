-- Rows that their owner had erased (aegis/store/chain/erasure.py). The chain keeps their hashes, so that it still leads over
-- them; an erasure is a row of the chain itself. Whoever deletes a row without one is found.
CREATE TABLE erasures (
    seq  INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL CHECK (kind IN ('decision', 'outcome', 'label')),
    row  INTEGER NOT NULL,
    at   TEXT NOT NULL,
    UNIQUE (kind, row)
);
CREATE TRIGGER erasures_refuse_update BEFORE UPDATE ON erasures
BEGIN SELECT RAISE(ABORT, 'erasures are append-only'); END;
CREATE TRIGGER erasures_refuse_delete BEFORE DELETE ON erasures
BEGIN SELECT RAISE(ABORT, 'erasures are append-only'); END;
CREATE TRIGGER erasures_are_chained AFTER INSERT ON erasures
BEGIN
    INSERT INTO chain (kind, row, about, hash) VALUES ('erasure', NEW.seq, NEW.kind, aegis_chain(
        (SELECT hash FROM chain ORDER BY place DESC LIMIT 1), 'erasure', NEW.seq,
        'kind', NEW.kind, 'row', NEW.row, 'at', NEW.at));
END;

-- What the chain's entry is about can name a person, too: it goes with the row.
DROP TRIGGER chain_refuse_update;
CREATE TRIGGER chain_refuse_update BEFORE UPDATE ON chain
WHEN NEW.about <> '' OR NEW.place <> OLD.place OR NEW.kind <> OLD.kind OR NEW.row <> OLD.row OR NEW.hash <> OLD.hash
    OR NOT EXISTS (SELECT 1 FROM erasures WHERE kind = OLD.kind AND row = OLD.row)
BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;

DROP TRIGGER decisions_refuse_delete;
CREATE TRIGGER decisions_refuse_delete BEFORE DELETE ON decisions
WHEN NOT EXISTS (SELECT 1 FROM erasures WHERE kind = 'decision' AND row = OLD.seq)
BEGIN SELECT RAISE(ABORT, 'decisions are append-only: start another workspace instead of deleting'); END;

DROP TRIGGER outcomes_refuse_delete;
CREATE TRIGGER outcomes_refuse_delete BEFORE DELETE ON outcomes
WHEN NOT EXISTS (SELECT 1 FROM erasures WHERE kind = 'outcome' AND row = OLD.seq)
BEGIN SELECT RAISE(ABORT, 'outcomes are append-only: a newer outcome is a new row'); END;

DROP TRIGGER labels_refuse_delete;
CREATE TRIGGER labels_refuse_delete BEFORE DELETE ON labels
WHEN NOT EXISTS (SELECT 1 FROM erasures WHERE kind = 'label' AND row = OLD.seq)
BEGIN SELECT RAISE(ABORT, 'labels are append-only: the first one of a decision stays'); END;

DROP TRIGGER calls_refuse_delete;
CREATE TRIGGER calls_refuse_delete BEFORE DELETE ON calls
WHEN NOT EXISTS (SELECT 1 FROM erasures AS e JOIN decisions AS d ON d.seq = e.row
    WHERE e.kind = 'decision' AND d.id = OLD.decision_id)
BEGIN SELECT RAISE(ABORT, 'calls are append-only: what a request took stays'); END;

DROP TRIGGER costs_refuse_delete;
CREATE TRIGGER costs_refuse_delete BEFORE DELETE ON costs
WHEN NOT EXISTS (SELECT 1 FROM erasures AS e JOIN decisions AS d ON d.seq = e.row
    WHERE e.kind = 'decision' AND d.id = OLD.decision_id)
BEGIN SELECT RAISE(ABORT, 'costs are append-only: what a decision cost stays'); END;
