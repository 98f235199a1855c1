"""`python -m services.sink`."""

import sys
from collections.abc import Sequence

from common.process.library_check import refuse_other_aiokafka
from common.process.lifecycle import begin


def main(argv: Sequence[str] | None = None, program: str = "python -m services.sink") -> int:
    """Run sink and return the exit code. `program` is what it was called as."""
    begin()
    if code := refuse_other_aiokafka(program):
        return code
    # These imports take most of a second: the signal handlers have to be set before.
    from common.process.main import run  # noqa: PLC0415
    from services.sink.service import serve  # noqa: PLC0415
    from services.sink.settings import SinkSettings  # noqa: PLC0415

    arguments = sys.argv[1:] if argv is None else argv
    return run("sink", SinkSettings, serve, arguments, program=program)


if __name__ == "__main__":
    sys.exit(main())
