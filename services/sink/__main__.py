"""`python -m services.sink`."""

import sys

from common.process.library_check import refuse_other_aiokafka
from common.process.lifecycle import begin


def main() -> int:
    """Run sink and return the exit code."""
    begin()
    if code := refuse_other_aiokafka("python -m services.sink"):
        return code
    # These imports take most of a second: the signal handlers have to be set before.
    from common.process.main import run  # noqa: PLC0415
    from services.sink.service import serve  # noqa: PLC0415
    from services.sink.settings import SinkSettings  # noqa: PLC0415

    return run("sink", SinkSettings, serve)


if __name__ == "__main__":
    sys.exit(main())
