"""What the HRM's recurrence gains on generated tasks that need depth; the package itself does not need this."""
