"""What the HRM's recurrence does, on generated tasks that need depth; it measures, and no part of the package needs it."""
