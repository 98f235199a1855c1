"""`nacre validate`: what the services would make of some files, told before anything is sent."""
