"""`nacre web`: one page for a browser that shows the pipeline as it runs."""
