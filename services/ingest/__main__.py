"""`python -m services.ingest`."""

import sys

from common.process.library_check import refuse_other_aiokafka
from common.process.lifecycle import begin


def main() -> int:
    """Run ingest and return the exit code."""
    begin()
    if code := refuse_other_aiokafka("python -m services.ingest"):
        return code
    # Signals must be handled before these imports, which take most of a second.
    from common.process.main import run  # noqa: PLC0415
    from services.ingest.service import serve  # noqa: PLC0415
    from services.ingest.settings import IngestSettings  # noqa: PLC0415

    return run("ingest", IngestSettings, serve, positional="input")


if __name__ == "__main__":
    sys.exit(main())
