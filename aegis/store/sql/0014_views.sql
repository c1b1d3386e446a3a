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

-- Sums of costs by policy, kept by a trigger: a status must not read every cost.
CREATE TABLE cost_tallies (
    policy    TEXT PRIMARY KEY NOT NULL,
    decisions INTEGER NOT NULL,
    dollars   REAL NOT NULL
) WITHOUT ROWID;

INSERT INTO cost_tallies
SELECT d.policy, COUNT(*), SUM(c.dollars) FROM costs AS c JOIN decisions AS d ON d.id = c.decision_id GROUP BY d.policy;

CREATE TRIGGER costs_are_tallied AFTER INSERT ON costs
BEGIN
    INSERT INTO cost_tallies SELECT policy, 1, NEW.dollars FROM decisions WHERE id = NEW.decision_id
    ON CONFLICT (policy) DO UPDATE SET decisions = decisions + 1, dollars = dollars + excluded.dollars;
END;
