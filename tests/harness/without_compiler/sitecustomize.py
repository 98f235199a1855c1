"""With this folder on PYTHONPATH a process finds no compiled loops."""

import sys

# None stands for a module that is not there.
for _name in ("common.batches.compiled", "common.rows.compiled"):
    sys.modules[_name] = None  # type: ignore[assignment]
