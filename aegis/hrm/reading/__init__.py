"""How a state becomes tokens: `fields` leaves out and renames, `budget` cuts, `count` counts what was cut."""
