-- The probability with which the action was drawn; NULL where nothing was drawn, and before this was recorded.
ALTER TABLE decisions ADD COLUMN propensity REAL
    CHECK (propensity IS NULL OR (typeof(propensity) = 'real' AND propensity > 0 AND propensity <= 1));
