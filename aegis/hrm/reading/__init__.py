"""Turning a state into tokens: `fields` leaves out and renames fields, `budget` cuts, `count` reports the cuts."""
