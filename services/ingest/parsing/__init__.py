"""The bytes of a source: unpacked, its dialect and header found, its records framed. Pure."""
