"""`nacre validate`: what the services would make of some files, before anything is sent."""
