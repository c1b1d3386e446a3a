-- The parts of each reward; questions asked while nobody was present; indexes for what was asked or proposed lately.
ALTER TABLE outcomes ADD COLUMN components TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(components));
ALTER TABLE inbox ADD COLUMN asked_away INTEGER NOT NULL DEFAULT 0 CHECK (asked_away IN (0, 1));
CREATE INDEX inbox_by_text ON inbox (question, id);
CREATE INDEX proposals_by_time ON proposals (proposed_at);
