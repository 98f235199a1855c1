"""`nacre status`: how far each source and stage is, and whether it goes on."""
