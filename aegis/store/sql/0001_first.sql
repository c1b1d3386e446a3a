CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
);

CREATE TABLE decisions (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE CHECK (id <> ''),
    episode       TEXT NOT NULL,
    step          INTEGER NOT NULL CHECK (typeof(step) = 'integer' AND step >= 0),
    state         TEXT NOT NULL CHECK (json_valid(state)),
    actions       TEXT NOT NULL CHECK (json_valid(actions)),
    action        TEXT NOT NULL,
    argument      TEXT NOT NULL CHECK (json_valid(argument)),
    probabilities TEXT CHECK (probabilities IS NULL OR json_valid(probabilities)),
    policy        TEXT NOT NULL,
    decided_at    TEXT NOT NULL,
    UNIQUE (episode, step)
);
CREATE INDEX decisions_by_policy ON decisions (policy, action);

CREATE TABLE outcomes (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    decision_id TEXT NOT NULL REFERENCES decisions (id),
    status      TEXT NOT NULL CHECK (status IN ('ok', 'failed', 'unknown')),
    gained      INTEGER NOT NULL DEFAULT 0 CHECK (typeof(gained) = 'integer' AND gained >= 0),
    reward      REAL CHECK (reward IS NULL OR status <> 'unknown'),
    detail      TEXT NOT NULL DEFAULT '',
    result      TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(result)),
    recorded_at TEXT NOT NULL
);
CREATE INDEX outcomes_by_decision ON outcomes (decision_id);

CREATE TRIGGER decisions_refuse_update BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only: what came of one is recorded as an outcome'); END;

CREATE TRIGGER decisions_refuse_delete BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'decisions are append-only: start another workspace instead of deleting'); END;

-- INSERT OR REPLACE deletes the old row without firing its delete trigger.
CREATE TRIGGER decisions_refuse_replace BEFORE INSERT ON decisions
WHEN EXISTS (SELECT 1 FROM decisions WHERE id = NEW.id)
    OR EXISTS (SELECT 1 FROM decisions WHERE episode = NEW.episode AND step = NEW.step)
    OR (NEW.seq > 0 AND EXISTS (SELECT 1 FROM decisions WHERE seq = NEW.seq))
BEGIN SELECT RAISE(ABORT, 'decisions are append-only: this id, or this step of the episode, is recorded already'); END;

CREATE TRIGGER outcomes_refuse_update BEFORE UPDATE ON outcomes
BEGIN SELECT RAISE(ABORT, 'outcomes are append-only: a newer outcome is a new row'); END;

CREATE TRIGGER outcomes_refuse_delete BEFORE DELETE ON outcomes
BEGIN SELECT RAISE(ABORT, 'outcomes are append-only: a newer outcome is a new row'); END;

CREATE TRIGGER outcomes_refuse_replace BEFORE INSERT ON outcomes
WHEN NEW.seq > 0 AND EXISTS (SELECT 1 FROM outcomes WHERE seq = NEW.seq)
BEGIN SELECT RAISE(ABORT, 'outcomes are append-only: a newer outcome is a new row'); END;

CREATE TABLE knowledge (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    id       TEXT NOT NULL UNIQUE CHECK (id <> ''),
    topic    TEXT NOT NULL,
    title    TEXT NOT NULL,
    text     TEXT NOT NULL,
    source   TEXT NOT NULL,
    goal     TEXT,
    found_at TEXT NOT NULL
);
CREATE INDEX knowledge_by_topic ON knowledge (topic);
CREATE INDEX knowledge_by_goal ON knowledge (goal);

CREATE TABLE questions (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    id        TEXT NOT NULL UNIQUE CHECK (id <> ''),
    episode   TEXT NOT NULL,
    text      TEXT NOT NULL CHECK (text <> ''),
    raised_by TEXT NOT NULL,
    goal      TEXT,
    searches  INTEGER NOT NULL DEFAULT 0 CHECK (searches >= 0),
    status    TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'closed', 'abandoned')),
    raised_at TEXT NOT NULL,
    closed_at TEXT,
    CHECK ((status = 'open') = (closed_at IS NULL))
);
CREATE INDEX questions_by_status ON questions (status, episode);
CREATE INDEX questions_by_goal ON questions (goal);

CREATE TABLE goals (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE CHECK (id <> ''),
    episode    TEXT NOT NULL,
    kind       TEXT NOT NULL,
    title      TEXT NOT NULL,
    topic      TEXT NOT NULL,
    priority   NUMERIC NOT NULL DEFAULT 0,
    status     TEXT NOT NULL CHECK (status <> ''),
    created_at TEXT NOT NULL,
    closed_at  TEXT
);
CREATE INDEX goals_by_status ON goals (status, episode);

CREATE TABLE inbox (
    id          INTEGER PRIMARY KEY,
    decision_id TEXT NOT NULL UNIQUE REFERENCES decisions (id),
    question    TEXT NOT NULL CHECK (question <> ''),
    status      TEXT NOT NULL DEFAULT 'waiting' CHECK (status IN ('waiting', 'answered', 'expired')),
    answer      TEXT,
    asked_at    TEXT NOT NULL,
    due_at      TEXT NOT NULL,
    answered_at TEXT,
    CHECK ((status = 'answered') = (answer IS NOT NULL)),
    CHECK ((status = 'answered') = (answered_at IS NOT NULL))
);
CREATE INDEX inbox_by_status ON inbox (status, due_at);

CREATE TABLE proposals (
    id          INTEGER PRIMARY KEY,
    decision_id TEXT NOT NULL UNIQUE REFERENCES decisions (id),
    aspect      TEXT NOT NULL CHECK (aspect <> ''),
    change      TEXT NOT NULL CHECK (json_valid(change)),
    reason      TEXT NOT NULL,
    status      TEXT NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected', 'lapsed')),
    proposed_at TEXT NOT NULL,
    due_at      TEXT NOT NULL,
    decided_at  TEXT,
    CHECK ((status = 'pending') = (decided_at IS NULL))
);
CREATE INDEX proposals_by_status ON proposals (status, aspect);
