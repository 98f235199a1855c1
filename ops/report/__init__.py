"""`nacre report`: one page of an output folder, to be mailed and archived."""
