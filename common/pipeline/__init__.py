"""What the three services agree on: their topics, schemas and permissions, and when everything is done."""
