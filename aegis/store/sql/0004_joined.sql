-- What a rule decided is settled with the decision; a change on trial leaves in use what an earlier one has changed.
UPDATE proposals SET settled = 1 WHERE status IN ('approved', 'rejected') AND decided_by = 'rule';
ALTER TABLE settings ADD COLUMN kept TEXT CHECK (kept IS NULL OR json_valid(kept));
