"""`nacre top`: the whole pipeline on a terminal, live, and as lines for pipes."""
