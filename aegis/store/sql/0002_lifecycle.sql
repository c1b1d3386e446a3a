-- Sums by policy and action, kept by triggers: a status must not read every decision.
CREATE TABLE tallies (
    policy    TEXT NOT NULL,
    action    TEXT NOT NULL,
    decisions INTEGER NOT NULL DEFAULT 0,
    known     INTEGER NOT NULL DEFAULT 0,
    gained    INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    rewarded  INTEGER NOT NULL DEFAULT 0,
    reward    REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (policy, action)
) WITHOUT ROWID;

INSERT INTO tallies
SELECT d.policy, d.action, COUNT(*), SUM(COALESCE(o.status <> 'unknown', 0)),
    SUM(CASE WHEN o.status <> 'unknown' THEN o.gained ELSE 0 END), SUM(COALESCE(o.status = 'failed', 0)),
    SUM(o.reward IS NOT NULL), SUM(COALESCE(o.reward, 0))
FROM decisions AS d
LEFT JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id)
GROUP BY d.policy, d.action;

CREATE TRIGGER decisions_are_tallied AFTER INSERT ON decisions
BEGIN
    INSERT INTO tallies (policy, action, decisions) VALUES (NEW.policy, NEW.action, 1)
    ON CONFLICT (policy, action) DO UPDATE SET decisions = decisions + 1;
END;

-- Only the newest outcome of a decision counts: the one before it is taken out again.
CREATE TRIGGER outcomes_are_tallied AFTER INSERT ON outcomes
BEGIN
    UPDATE tallies
    SET known = known - (o.status <> 'unknown'), gained = tallies.gained - o.gained * (o.status <> 'unknown'),
        failed = failed - (o.status = 'failed'), rewarded = rewarded - (o.reward IS NOT NULL),
        reward = tallies.reward - COALESCE(o.reward, 0)
    FROM decisions AS d
    JOIN outcomes AS o ON o.seq = (SELECT MAX(seq) FROM outcomes WHERE decision_id = d.id AND seq < NEW.seq)
    WHERE d.id = NEW.decision_id AND tallies.policy = d.policy AND tallies.action = d.action;
    UPDATE tallies
    SET known = known + (NEW.status <> 'unknown'), gained = gained + NEW.gained * (NEW.status <> 'unknown'),
        failed = failed + (NEW.status = 'failed'), rewarded = rewarded + (NEW.reward IS NOT NULL),
        reward = tallies.reward + COALESCE(NEW.reward, 0)
    FROM decisions AS d
    WHERE d.id = NEW.decision_id AND tallies.policy = d.policy AND tallies.action = d.action;
END;

CREATE TABLE trainings (
    id         INTEGER PRIMARY KEY,
    status     TEXT NOT NULL DEFAULT 'running' CHECK (status IN ('running', 'switched', 'refused', 'failed')),
    decisions  INTEGER NOT NULL CHECK (decisions >= 0),
    last_seq   INTEGER,
    settings   TEXT NOT NULL CHECK (json_valid(settings)),
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    reason     TEXT NOT NULL DEFAULT '',
    report     TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(report)),
    CHECK ((status = 'running') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX trainings_one_runs ON trainings (status) WHERE status = 'running';

CREATE TABLE epochs (
    training    INTEGER NOT NULL REFERENCES trainings (id),
    trial       TEXT NOT NULL DEFAULT '',
    epoch       INTEGER NOT NULL CHECK (epoch >= 1),
    results     TEXT NOT NULL CHECK (json_valid(results)),
    recorded_at TEXT NOT NULL,
    PRIMARY KEY (training, trial, epoch)
) WITHOUT ROWID;

CREATE TABLE settings (
    name       TEXT PRIMARY KEY NOT NULL,
    value      TEXT NOT NULL CHECK (json_valid(value)),
    before     TEXT NOT NULL CHECK (json_valid(before)),
    proposal   INTEGER REFERENCES proposals (id),
    on_trial   INTEGER NOT NULL DEFAULT 0,
    changed_at TEXT NOT NULL
);

ALTER TABLE proposals ADD COLUMN decided_by TEXT NOT NULL DEFAULT 'person';
ALTER TABLE proposals ADD COLUMN effect TEXT NOT NULL DEFAULT '';
