"""With this folder on PYTHONPATH a process finds no compiled loops."""

import sys

# None stands for a module that is not there.
sys.modules["common.rows.compiled"] = None  # type: ignore[assignment]
