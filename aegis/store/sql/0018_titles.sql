-- A title is looked up in small letters: PostgreSQL has no NOCASE.
DROP INDEX knowledge_by_title;
CREATE INDEX knowledge_by_title ON knowledge (lower(title));
