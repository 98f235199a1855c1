"""How the operator's commands read their arguments and keep the clients' logs off the terminal."""

import argparse
import logging
from typing import NoReturn

import structlog

from common.errors import ConfigurationError


class Parser(argparse.ArgumentParser):
    """Reports a wrong argument in one line, with the exit code of a wrong setting."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigurationError."""
        raise ConfigurationError(message)


def keep_clients_quiet() -> None:
    """Drop the clients' logs: the command reports what matters in its own words."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    client_log = logging.getLogger("aiokafka")
    # Without a handler, Python would print warnings to stderr.
    client_log.addHandler(logging.NullHandler())
    client_log.propagate = False
