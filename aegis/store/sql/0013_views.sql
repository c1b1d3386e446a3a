-- What the dashboard looks up among any number of decisions: those of a time, and those to which a label gives another
-- action than the one taken.
CREATE INDEX decisions_by_time ON decisions (decided_at);

CREATE TABLE disagreements (
    decision INTEGER PRIMARY KEY,
    label    INTEGER NOT NULL
) WITHOUT ROWID;

CREATE VIEW label_answers AS
    SELECT l.seq AS label, d.seq AS decision, d.action AS taken, json_extract(d.actions, '$[' || (
        SELECT key FROM json_each(l.probabilities) ORDER BY value DESC, key LIMIT 1) || ']') AS answered
    FROM labels AS l JOIN decisions AS d ON d.id = l.decision_id;

INSERT INTO disagreements SELECT decision, label FROM label_answers WHERE answered <> taken;

CREATE TRIGGER labels_are_compared AFTER INSERT ON labels
BEGIN
    INSERT INTO disagreements SELECT decision, label FROM label_answers WHERE label = NEW.seq AND answered <> taken;
END;

CREATE INDEX labels_by_teacher ON labels (teacher);

ALTER TABLE proposals ADD COLUMN note TEXT NOT NULL DEFAULT '';
