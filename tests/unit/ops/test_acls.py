"""`nacre acls --apply` names the ACL that a broker refuses."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from aiokafka.errors import InvalidRequestError
from aiokafka.protocol.admin import CreateAclsRequest

from common.pipeline.permissions import OPERATIONS
from ops import acls


class Client:
    """A broker that sets every ACL but those of one number in the protocol."""

    def __init__(self, refused_operation: int, why: str) -> None:
        self._refused_operation = refused_operation
        self._why = why

    def get_random_node(self) -> int:
        """The only broker."""
        return 0

    async def send(self, _node: int, request: CreateAclsRequest) -> Any:
        """Answer a request."""
        refused = request._operation == self._refused_operation  # noqa: SLF001 - aiokafka keeps it nowhere else
        return SimpleNamespace(creation_responses=[(InvalidRequestError.errno, self._why) if refused else (0, None)])


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """The command configures the log of this process, which other tests share."""
    client_log = logging.getLogger("aiokafka")
    handlers, propagate, settings = client_log.handlers[:], client_log.propagate, structlog.get_config()
    yield
    client_log.handlers, client_log.propagate = handlers, propagate
    structlog.configure(**settings)


@pytest.mark.parametrize(
    ("why", "text"), [("this host is unknown", "this host is unknown"), ("", "the broker does not say why")]
)
def test_a_refused_acl_is_reported_with_its_operation_resource_and_principal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], why: str, text: str
) -> None:
    @asynccontextmanager
    async def open_admin(*_: object) -> AsyncIterator[Any]:
        yield SimpleNamespace(_client=Client(OPERATIONS["Write"], why))

    monkeypatch.setattr(acls, "open_admin", open_admin)
    monkeypatch.setenv("TOPIC_PREFIX", "p.")
    assert acls.main(["--ingest", "User:alice", "--apply"]) == 1
    assert f": cannot set Write on Topic p.rows for User:alice: {text}\n" in capsys.readouterr().err
