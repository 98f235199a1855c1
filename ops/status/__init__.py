"""`nacre status`: how far each source and stage has come, how fast, and whether it is still moving."""
