"""`python -m services.ingest`."""

import sys
from collections.abc import Sequence

from common.process.library_check import refuse_other_aiokafka
from common.process.lifecycle import begin


def main(argv: Sequence[str] | None = None, program: str = "python -m services.ingest") -> int:
    """Run ingest and return the exit code. `program` is what it was called as."""
    begin()
    if code := refuse_other_aiokafka(program):
        return code
    # Signals must be handled before these imports, which take most of a second.
    from common.process.main import run  # noqa: PLC0415
    from services.ingest.service import serve  # noqa: PLC0415
    from services.ingest.settings import IngestSettings  # noqa: PLC0415

    arguments = sys.argv[1:] if argv is None else argv
    return run("ingest", IngestSettings, serve, arguments, program=program, positional="input")


if __name__ == "__main__":
    sys.exit(main())
