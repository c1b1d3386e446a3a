-- SHA-256 of each file of a kept version, by its name in the version's folder; '{}' for a version that was kept before.
ALTER TABLE models ADD COLUMN files TEXT NOT NULL DEFAULT '{}';
