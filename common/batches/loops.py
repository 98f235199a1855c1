"""The loops over record batches: in C where they are compiled, otherwise in plain Python, more slowly.

`NACRE_PLAIN=1` chooses plain Python.
"""

from common.compiled_loops import allow_compiled_loops

try:
    allow_compiled_loops()
    from common.batches.compiled import append_rows, parse_batch

    KIND = "compiled"
except ImportError:
    from common.batches.plain import append_rows, parse_batch

    KIND = "plain"

__all__ = ["KIND", "append_rows", "parse_batch"]
