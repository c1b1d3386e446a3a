-- Every decision, outcome, label and event has a place in a chain of hashes, written with its row (aegis/store/chain).
-- Each trigger names every column of its table. A later column must be added here, by new triggers, and may be NULL.
CREATE TABLE chain (
    place INTEGER PRIMARY KEY,
    kind  TEXT NOT NULL,
    row   INTEGER NOT NULL,
    about TEXT NOT NULL,
    hash  BLOB NOT NULL CHECK (length(hash) = 64)
);

CREATE TRIGGER chain_refuse_update BEFORE UPDATE ON chain
BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;

CREATE TRIGGER chain_refuse_delete BEFORE DELETE ON chain
BEGIN SELECT RAISE(ABORT, 'the chain is append-only'); END;

CREATE TRIGGER decisions_are_chained AFTER INSERT ON decisions
BEGIN
    INSERT INTO chain (kind, row, about, hash) VALUES ('decision', NEW.seq, NEW.id, aegis_chain(
        (SELECT hash FROM chain ORDER BY place DESC LIMIT 1), 'decision', NEW.seq,
        'id', NEW.id, 'episode', NEW.episode, 'step', NEW.step, 'state', NEW.state, 'actions', NEW.actions,
        'action', NEW.action, 'argument', NEW.argument, 'probabilities', NEW.probabilities, 'policy', NEW.policy,
        'decided_at', NEW.decided_at, 'propensity', NEW.propensity));
END;

CREATE TRIGGER outcomes_are_chained AFTER INSERT ON outcomes
BEGIN
    INSERT INTO chain (kind, row, about, hash) VALUES ('outcome', NEW.seq, NEW.decision_id, aegis_chain(
        (SELECT hash FROM chain ORDER BY place DESC LIMIT 1), 'outcome', NEW.seq,
        'decision_id', NEW.decision_id, 'status', NEW.status, 'gained', NEW.gained, 'reward', NEW.reward,
        'detail', NEW.detail, 'result', NEW.result, 'recorded_at', NEW.recorded_at, 'components', NEW.components));
END;

CREATE TRIGGER labels_are_chained AFTER INSERT ON labels
BEGIN
    INSERT INTO chain (kind, row, about, hash) VALUES ('label', NEW.seq, NEW.decision_id, aegis_chain(
        (SELECT hash FROM chain ORDER BY place DESC LIMIT 1), 'label', NEW.seq,
        'decision_id', NEW.decision_id, 'teacher', NEW.teacher, 'probabilities', NEW.probabilities,
        'reason', NEW.reason, 'labelled_at', NEW.labelled_at));
END;

CREATE TRIGGER model_events_are_chained AFTER INSERT ON model_events
BEGIN
    INSERT INTO chain (kind, row, about, hash) VALUES ('event', NEW.seq, NEW.kind, aegis_chain(
        (SELECT hash FROM chain ORDER BY place DESC LIMIT 1), 'event', NEW.seq,
        'kind', NEW.kind, 'model', NEW.model, 'previous', NEW.previous, 'who', NEW.who, 'reason', NEW.reason,
        'evidence', NEW.evidence, 'newest', NEW.newest, 'at', NEW.at));
END;
