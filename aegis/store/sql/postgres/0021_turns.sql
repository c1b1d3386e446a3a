-- sql/0021 for PostgreSQL.
CREATE TABLE turns (
    decision BIGINT PRIMARY KEY REFERENCES decisions (seq) ON DELETE CASCADE,
    series   BIGINT NOT NULL,
    stretch  BIGINT NOT NULL
);
CREATE TRIGGER refuses_update BEFORE UPDATE ON turns FOR EACH ROW
    EXECUTE FUNCTION aegis_refuse('turns are append-only: what was drawn stays');
