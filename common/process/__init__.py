"""One process's life: its start, its signals, its exit code, its streams and memory."""
