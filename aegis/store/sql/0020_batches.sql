-- A program that appends decisions chains and counts them itself, all at once, in the same transaction
-- (aegis/store/chain/batch.py): these triggers took half of the time. Meanwhile aegis_chain(x'', 'batch', 0) is NULL.
-- A program without the function can't insert. One of an earlier version gets a hash, so the triggers do their work.
DROP TRIGGER decisions_refuse_replace;
CREATE TRIGGER decisions_refuse_replace BEFORE INSERT ON decisions
WHEN aegis_chain(x'', 'batch', 0) IS NOT NULL
    AND (EXISTS (SELECT 1 FROM decisions WHERE id = NEW.id)
        OR EXISTS (SELECT 1 FROM decisions WHERE episode = NEW.episode AND step = NEW.step)
        OR (NEW.seq > 0 AND EXISTS (SELECT 1 FROM decisions WHERE seq = NEW.seq)))
BEGIN SELECT RAISE(ABORT, 'decisions are append-only: this id, or this step of the episode, is recorded already'); END;

-- One trigger for both: each costs every row a little, also where it does nothing.
DROP TRIGGER decisions_are_chained;
DROP TRIGGER decisions_are_tallied;
CREATE TRIGGER decisions_are_chained AFTER INSERT ON decisions
WHEN aegis_chain(x'', 'batch', 0) IS NOT NULL
BEGIN
    INSERT INTO chain (kind, row, about, hash) VALUES ('decision', NEW.seq, NEW.id, aegis_chain(
        (SELECT hash FROM chain ORDER BY place DESC LIMIT 1), 'decision', NEW.seq,
        'id', NEW.id, 'episode', NEW.episode, 'step', NEW.step, 'state', NEW.state, 'actions', NEW.actions,
        'action', NEW.action, 'argument', NEW.argument, 'probabilities', NEW.probabilities, 'policy', NEW.policy,
        'decided_at', NEW.decided_at, 'propensity', NEW.propensity));
    INSERT INTO tallies (policy, action, decisions) VALUES (NEW.policy, NEW.action, 1)
    ON CONFLICT (policy, action) DO UPDATE SET decisions = decisions + 1;
END;
