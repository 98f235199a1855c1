"""Refusing another aiokafka than the one that the project is made for, before what it may lack is imported."""

import sys

from common.process.lifecycle import linger


def refuse_other_aiokafka(program: str) -> int:
    """Say in one line that aiokafka is of another version; return the exit code for it, 0 where it is the right one."""
    # Imported here because they are slow, and signals have to be heard before.
    from common.aiokafka_internals.contract import check_aiokafka_version  # noqa: PLC0415
    from common.errors import ConfigurationError  # noqa: PLC0415

    try:
        check_aiokafka_version()
    except ConfigurationError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return linger(error.exit_code, lambda what: sys.stderr.write(f"{program}: {what}\n"))
    return 0
