"""What the operator's commands have in common: how they keep quiet, how they end."""

import logging
import os
import sys
from typing import TYPE_CHECKING

import structlog

from common.broker_errors.kinds import ErrorKind
from common.errors import ConfigurationError, ServiceError

if TYPE_CHECKING:
    # Some commands ask no broker, and begin sooner without aiokafka.
    from common.sessions.diagnosis import Diagnosis


def keep_clients_quiet() -> None:
    """Drop the clients' logs: the command reports what matters in its own words."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    client_log = logging.getLogger("aiokafka")
    # Without a handler, Python would print warnings to stderr.
    client_log.addHandler(logging.NullHandler())
    client_log.propagate = False


def write_out(text: str) -> None:
    """Write to standard output, at once; nowhere, without a word, if its reader has left."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()


def discard_output() -> None:
    """Send nowhere what is written from now on: the reader closed the pipe, and the flush at exit would fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def refusal_of(diagnosis: "Diagnosis", hint: str = "") -> ServiceError:
    """What a command ends with: a ConfigurationError where the broker refuses; if not, `hint` follows the reason."""
    if diagnosis.kind in {ErrorKind.REFUSED, ErrorKind.REFUSED_IF_IT_LASTS}:
        return ConfigurationError(diagnosis.reason)
    return ServiceError(f"{diagnosis.reason}{hint}")
