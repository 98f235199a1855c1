"""From the bytes of a source to its records: unpacking, dialect, header, framing. Pure."""
