"""What the HRM's recurrence does, on generated tasks that need depth; no part of the package needs this one."""
