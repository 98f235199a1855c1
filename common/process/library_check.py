"""Refusing any aiokafka but the one that the project is made for, before importing names that another may lack."""

import sys

from common.process.lifecycle import linger


def refuse_other_aiokafka(program: str) -> int:
    """Write one line if aiokafka has another version; return the exit code for that, 0 for the right version."""
    # Imported here because they are slow, and signals have to be handled before.
    from common.aiokafka_internals.contract import check_aiokafka_version  # noqa: PLC0415
    from common.errors import ConfigurationError  # noqa: PLC0415

    try:
        check_aiokafka_version()
    except ConfigurationError as error:
        sys.stderr.write(f"{program}: {error}\n")
        return linger(error.exit_code, lambda what: sys.stderr.write(f"{program}: {what}\n"))
    return 0
