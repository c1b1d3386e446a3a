-- Knowledge: full-text search, near-duplicates by bands of MinHash signatures, and the questions that an item closed.
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

-- Terms that the agent met while reading, does not know, and has not yet asked about.
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

-- Every query asked, so that it is not soon asked again.
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

-- A settled row need not be looked at again at every decision.
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
