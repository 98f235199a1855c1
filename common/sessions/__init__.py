"""A member of a group at work: sessions, one task per partition, readiness, and why a session has ended."""
