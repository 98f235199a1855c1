"""How the operator's commands keep the clients' logs off the terminal."""

import logging

import structlog


def keep_clients_quiet() -> None:
    """Drop the clients' logs: the command reports what matters in its own words."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    client_log = logging.getLogger("aiokafka")
    # Without a handler, Python would print warnings to stderr.
    client_log.addHandler(logging.NullHandler())
    client_log.propagate = False
