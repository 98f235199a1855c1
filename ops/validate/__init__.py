"""`nacre validate`: what the services would make of some files, reported before anything is sent."""
