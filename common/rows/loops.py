"""The loops over rows: in C where they are compiled, otherwise in plain Python, more slowly.

`NACRE_PLAIN=1` chooses plain Python.
"""

from common.compiled_loops import allow_compiled_loops

try:
    allow_compiled_loops()
    from common.rows.compiled import (
        csv_rows,
        group_rows,
        join_rows,
        json_rows,
        number_fields,
        number_items,
        size_of,
        split_uniform_lines,
        sums,
        take_fields,
        take_json_fields,
        take_out,
    )

    KIND = "compiled"
except ImportError:
    from common.rows.plain import (
        csv_rows,
        group_rows,
        join_rows,
        json_rows,
        number_fields,
        number_items,
        size_of,
        split_uniform_lines,
        sums,
        take_fields,
        take_json_fields,
        take_out,
    )

    KIND = "plain"

__all__ = [
    "KIND",
    "csv_rows",
    "group_rows",
    "join_rows",
    "json_rows",
    "number_fields",
    "number_items",
    "size_of",
    "split_uniform_lines",
    "sums",
    "take_fields",
    "take_json_fields",
    "take_out",
]
