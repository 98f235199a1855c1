"""Every error that aiokafka has is listed, each once."""

import inspect
import re

import pytest
from aiokafka import errors

from common.broker_errors.kinds import KINDS, ErrorKind, kind_of, name_of, names_in

EVERY = {
    name: found
    for name, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, Exception) and name == found.__name__
}


def test_every_error_of_aiokafka_is_in_the_table_and_nothing_else() -> None:
    assert KINDS.keys() == EVERY.keys()


def test_none_is_in_the_table_twice() -> None:
    source = inspect.getsource(inspect.getmodule(kind_of))  # type: ignore[arg-type]  # it has one
    table = source[source.index("_NAMES: ") : source.index("KINDS: ")]
    named = [name for name in re.findall(r"\b[A-Z][A-Za-z]+\b", re.sub(r"#.*", "", table)) if name in EVERY]
    assert len(named) == len(set(named)) == len(EVERY)


def test_what_aiokafka_calls_retriable_waits() -> None:
    retriable = {name for name, found in EVERY.items() if getattr(found, "retriable", False)}
    assert {name for name in retriable if KINDS[name] is not ErrorKind.WAITS} == set()


@pytest.mark.parametrize(
    ("error", "name", "kind"),
    [
        (errors.SaslAuthenticationFailed("no"), "SaslAuthenticationFailed", ErrorKind.REFUSED_IF_IT_LASTS),
        (errors.KafkaError("InvalidSessionTimeoutError()"), "InvalidSessionTimeoutError", ErrorKind.REFUSED),
        (errors.KafkaError("Unexpected error during coordination KeyError(1)"), "KafkaError", ErrorKind.WAITS),
        (errors.CorruptRecordException(), "CorruptRecordException", ErrorKind.BROKEN_IF_IT_LASTS),
        (OSError(28, "No space left on device"), "OSError", ErrorKind.WAITS),
        (TimeoutError(), "TimeoutError", ErrorKind.WAITS),
    ],
)
def test_an_error_is_judged_by_its_name(error: Exception, name: str, kind: ErrorKind) -> None:
    assert (name_of(error), kind_of(error)) == (name, kind)


def test_a_wrapped_error_is_judged_by_what_it_wraps() -> None:
    wrapped = errors.KafkaError("Unexpected error during batch delivery")
    wrapped.__cause__ = errors.TransactionalIdAuthorizationFailed("nacre.ingest-0")
    assert name_of(wrapped) == "TransactionalIdAuthorizationFailed"
    assert kind_of(wrapped) is ErrorKind.REFUSED


def test_the_errors_that_a_log_line_names_are_found() -> None:
    line = "Group Coordinator Request failed: [Error 15] GroupCoordinatorNotAvailableError"
    assert list(names_in(line)) == ["GroupCoordinatorNotAvailableError"]
