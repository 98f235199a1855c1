"""The loops over record batches: in C where they were compiled, otherwise in plain Python, more slowly."""

try:
    from common.batches.compiled import append_rows, parse_batch

    KIND = "compiled"
except ImportError:
    from common.batches.plain import append_rows, parse_batch

    KIND = "plain"

__all__ = ["KIND", "append_rows", "parse_batch"]
