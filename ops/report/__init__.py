"""`nacre report`: one page of an output folder, to mail or archive."""
