"""`python -m services.split`."""

import sys

from common.process.library_check import refuse_other_aiokafka
from common.process.lifecycle import begin


def main() -> int:
    """Run split and return the exit code."""
    begin()
    if code := refuse_other_aiokafka("python -m services.split"):
        return code
    # Signals must be handled before these imports, which take most of a second.
    from common.process.main import run  # noqa: PLC0415
    from services.split.service import serve  # noqa: PLC0415
    from services.split.settings import SplitSettings  # noqa: PLC0415

    return run("split", SplitSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
