-- A rule's decision about a proposal is settled at once. A change on trial keeps the value of an earlier change in use.
UPDATE proposals SET settled = 1 WHERE status IN ('approved', 'rejected') AND decided_by = 'rule';
ALTER TABLE settings ADD COLUMN kept TEXT CHECK (kept IS NULL OR json_valid(kept));
