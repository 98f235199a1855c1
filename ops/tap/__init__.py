"""`nacre tap`: rows as they stand in the topics now, or as they come."""
