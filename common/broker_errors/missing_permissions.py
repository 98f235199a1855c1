"""Errors of missing permissions that name the resource, which aiokafka 0.14 leaves out in places."""

from collections.abc import Iterator
from contextlib import contextmanager

from aiokafka.errors import (
    BrokerResponseError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    for_code,
)

_OF_PERMISSIONS = (
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)


@contextmanager
def asking_about(name: str) -> Iterator[None]:
    """Make an error of a missing permission that is raised in this block hold this name and nothing else."""
    try:
        yield
    except _OF_PERMISSIONS as error:
        raise type(error)(name) from error


def error_for(code: int, name: str, text: str) -> BrokerResponseError:
    """The error with this code; it holds the name where a permission is missing, otherwise the text."""
    error = for_code(code)
    return error(name if error in _OF_PERMISSIONS else text)
