"""What lies below OUTPUT_DIR: reached safely, written, made durable, locked."""
