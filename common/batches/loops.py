"""The loops over record batches: in C where they were compiled, otherwise in plain Python, more slowly."""

try:
    from common.batches.compiled import put_rows, stretches

    KIND = "compiled"
except ImportError:
    from common.batches.plain import put_rows, stretches

    KIND = "plain"

__all__ = ["KIND", "put_rows", "stretches"]
