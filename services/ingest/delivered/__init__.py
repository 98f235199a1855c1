"""What becomes of a source's file once its rows are delivered. Pure."""
