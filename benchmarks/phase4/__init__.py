"""Phase 4 in worlds with and without people, beside controls that learn there from the same number of decisions."""
