"""Errors of missing permissions that name the resource; aiokafka 0.14 leaves its name out in places."""

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
    """In this block, an error of a missing permission holds this name and nothing else."""
    try:
        yield
    except _OF_PERMISSIONS as error:
        raise type(error)(name) from error


def error_for(code: int, name: str, text: str) -> BrokerResponseError:
    """The error of this code; it holds the name if a permission is missing, otherwise the text."""
    error = for_code(code)
    return error(name if error in _OF_PERMISSIONS else text)
