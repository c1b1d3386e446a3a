"""The database's schema as an ordered list of migrations, and their application; it opens and closes nothing.

A migration and its record (`PRAGMA user_version`) are one transaction, so that a kill leaves either both or neither.
A migration that has been released is never edited: a change is a new one at the end of the list.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from aegis.store.improvement_schema import IMPROVEMENTS
from aegis.store.trust_schema import LABELS, PROPENSITIES, STAGES

APPLICATION_ID = 0x41454749
"""`AEGI` in ASCII: tells a workspace's database from any other program's SQLite file."""

_FIRST = """
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
"""

_LIFECYCLE = """
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
"""

_WORLD = """
-- Knowledge: full-text search, near-duplicates by bands of MinHash signatures, and which questions an item closed.
CREATE VIRTUAL TABLE knowledge_words USING fts5 (
    title, text, topic, content = 'knowledge', content_rowid = 'seq', tokenize = 'porter unicode61'
);
CREATE TRIGGER knowledge_becomes_searchable AFTER INSERT ON knowledge
BEGIN
    INSERT INTO knowledge_words (rowid, title, text, topic) VALUES (NEW.seq, NEW.title, NEW.text, NEW.topic);
END;
CREATE TRIGGER knowledge_leaves_search AFTER DELETE ON knowledge
BEGIN
    INSERT INTO knowledge_words (knowledge_words, rowid, title, text, topic)
    VALUES ('delete', OLD.seq, OLD.title, OLD.text, OLD.topic);
END;
INSERT INTO knowledge_words (knowledge_words) VALUES ('rebuild');
CREATE INDEX knowledge_by_title ON knowledge (title COLLATE NOCASE);

CREATE TABLE knowledge_bands (
    band INTEGER NOT NULL,
    item INTEGER NOT NULL REFERENCES knowledge (seq) ON DELETE CASCADE,
    PRIMARY KEY (band, item)
) WITHOUT ROWID;
CREATE INDEX knowledge_bands_by_item ON knowledge_bands (item);

CREATE TABLE closings (
    question  TEXT NOT NULL REFERENCES questions (id),
    item      TEXT NOT NULL,
    closed_at TEXT NOT NULL,
    PRIMARY KEY (question, item)
) WITHOUT ROWID;
CREATE INDEX closings_by_item ON closings (item);

-- Terms that were met in what was read, are not known, and were not asked about at once.
CREATE TABLE gaps (
    seq    INTEGER PRIMARY KEY AUTOINCREMENT,
    id     TEXT NOT NULL UNIQUE CHECK (id <> ''),
    term   TEXT NOT NULL CHECK (term <> ''),
    topic  TEXT NOT NULL,
    met_in TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'asked', 'known')),
    met_at TEXT NOT NULL
);
CREATE INDEX gaps_by_topic ON gaps (topic, status, seq);

-- Every query that was asked, so that none is asked again soon.
CREATE TABLE searches (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL,
    query       TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    asked_at    TEXT NOT NULL
);
CREATE INDEX searches_by_key ON searches (key, seq);
INSERT INTO searches (key, query, decision_id, asked_at)
    SELECT lower(json_extract(argument, '$.query')), json_extract(argument, '$.query'), id, decided_at
    FROM decisions
    WHERE action = 'web_search' AND typeof(json_extract(argument, '$.query')) = 'text'
    ORDER BY seq;

-- What is settled need not be looked at again at every decision.
ALTER TABLE inbox ADD COLUMN settled INTEGER NOT NULL DEFAULT 0 CHECK (settled IN (0, 1));
UPDATE inbox SET settled = 1
    WHERE status <> 'waiting' AND COALESCE((SELECT o.status FROM outcomes AS o
        WHERE o.decision_id = inbox.decision_id ORDER BY o.seq DESC LIMIT 1), 'unknown') <> 'unknown';
CREATE INDEX inbox_to_settle ON inbox (id) WHERE settled = 0 AND status <> 'waiting';
CREATE INDEX inbox_by_question ON inbox (question) WHERE status = 'waiting';
ALTER TABLE proposals ADD COLUMN settled INTEGER NOT NULL DEFAULT 0 CHECK (settled IN (0, 1));
UPDATE proposals SET settled = 1
    WHERE status IN ('approved', 'rejected') AND (SELECT json_extract(o.result, '$.status') FROM outcomes AS o
        WHERE o.decision_id = proposals.decision_id ORDER BY o.seq DESC LIMIT 1) IS proposals.status;
CREATE INDEX proposals_to_settle ON proposals (id) WHERE settled = 0 AND status IN ('approved', 'rejected');
"""

_JOINED = """
-- What a rule decided is settled with the decision; a change on trial leaves in use what an earlier one has changed.
UPDATE proposals SET settled = 1 WHERE status IN ('approved', 'rejected') AND decided_by = 'rule';
ALTER TABLE settings ADD COLUMN kept TEXT CHECK (kept IS NULL OR json_valid(kept));
"""

_TRUST = """
-- Every HRM that was kept, with what it was trained on and its figures.
CREATE TABLE models (
    name    TEXT PRIMARY KEY NOT NULL,
    figures TEXT NOT NULL CHECK (json_valid(figures)),
    made_at TEXT NOT NULL
);

-- Who let which policy serve, and why; model, previous: NULL stands for the teacher.
CREATE TABLE model_events (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    kind     TEXT NOT NULL CHECK (kind IN ('promoted', 'rolled_back', 'warned')),
    model    TEXT,
    previous TEXT,
    who      TEXT NOT NULL CHECK (who <> ''),
    reason   TEXT NOT NULL,
    evidence TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(evidence)),
    newest   INTEGER NOT NULL,
    at       TEXT NOT NULL
);
CREATE TRIGGER model_events_refuse_update BEFORE UPDATE ON model_events
BEGIN SELECT RAISE(ABORT, 'what served is recorded for good: a change is a new event'); END;
CREATE TRIGGER model_events_refuse_delete BEFORE DELETE ON model_events
BEGIN SELECT RAISE(ABORT, 'what served is recorded for good: a change is a new event'); END;
"""

_REWARDS = """
-- What each reward is made of; questions that were asked while nobody was here, and what was asked or proposed lately.
ALTER TABLE outcomes ADD COLUMN components TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(components));
ALTER TABLE inbox ADD COLUMN asked_away INTEGER NOT NULL DEFAULT 0 CHECK (asked_away IN (0, 1));
CREATE INDEX inbox_by_text ON inbox (question, id);
CREATE INDEX proposals_by_time ON proposals (proposed_at);
"""

MIGRATIONS: tuple[str, ...] = (
    *(_FIRST, _LIFECYCLE, _WORLD, _JOINED, _TRUST, _REWARDS),
    *(STAGES, LABELS, IMPROVEMENTS, PROPENSITIES),
)
"""Migration number n, counted from 1, takes the schema from version n - 1 to version n."""


def schema_version(connection: sqlite3.Connection) -> int:
    """Return how many migrations the database has been through; 0 for a new one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def refusal(connection: sqlite3.Connection) -> str | None:
    """Return why this database must not be touched (another program's, or a newer AEGIS's), or None. Writes nothing."""
    # One statement is one snapshot: another process may be creating the schema at this moment.
    version, application, tables = connection.execute(
        "SELECT user_version, application_id, (SELECT COUNT(*) FROM sqlite_master)"
        " FROM pragma_user_version, pragma_application_id"
    ).fetchone()
    if version > len(MIGRATIONS) and application == APPLICATION_ID:
        return (
            f"it was written by a newer AEGIS (schema {version}; this one knows up to {len(MIGRATIONS)}):"
            " upgrade aegis-hrm, or use another --workspace"
        )
    if application != APPLICATION_ID and (application or version or tables):
        return "it is another program's SQLite database: use another --workspace"
    return None


def migrate(connection: sqlite3.Connection) -> None:
    """Apply the migrations that are missing, each in one transaction; safe when several processes do so at once.

    The connection must be in autocommit mode (`isolation_level=None`).
    """
    while schema_version(connection) < len(MIGRATIONS):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again under the write lock: another process may have been faster.
            version = schema_version(connection)
            if version < len(MIGRATIONS):
                for statement in _statements(MIGRATIONS[version]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _statements(script: str) -> Iterator[str]:
    # Not `executescript`: it commits first, and the migration would no longer be one transaction.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
