"""Whether compiled loops may be used: `NACRE_PLAIN=1` chooses their plain twins, as on a machine without a compiler.

That serves tests, and shows whether a compiled loop is to blame for something.
"""

import os

_CHOICE = "NACRE_PLAIN"


def allow_compiled_loops() -> None:
    """Raise ImportError, as where nothing is compiled, if the plain twins are chosen."""
    if os.environ.get(_CHOICE) == "1":
        raise ImportError(f"{_CHOICE}=1: plain loops are chosen")
