"""What a service says of itself over HTTP, where it is asked to: that it lives, that it is ready, and its metrics."""
