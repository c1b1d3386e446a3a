-- The probability with which the action was drawn; NULL if it was not drawn, or was recorded before this column.
ALTER TABLE decisions ADD COLUMN propensity REAL
    CHECK (propensity IS NULL OR (typeof(propensity) = 'real' AND propensity > 0 AND propensity <= 1));
