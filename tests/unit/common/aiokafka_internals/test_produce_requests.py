"""A produce request has the bytes that aiokafka itself would write."""

from typing import Any

import pytest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.struct import Struct
from hypothesis import given
from hypothesis import strategies as st

import common.kafka.clients  # noqa: F401 - importing it installs the replacements

TOPICS = st.lists(st.tuples(st.text(max_size=9), st.lists(st.tuples(st.integers(0, 99), st.binary(max_size=99)))))


@pytest.mark.parametrize("version", range(8))
@given(TOPICS, st.text(max_size=9))
def test_a_request_is_written_as_aiokafka_writes_it(version: int, topics: list[Any], transactional_id: str) -> None:
    batches = [(topic, [(number, bytearray(batch)) for number, batch in batches]) for topic, batches in topics]
    asked = ProduceRequest(transactional_id if version >= 3 else None, -1, 10_000, batches)
    request = asked.prepare({ProduceRequest.API_KEY: (version, version)})
    assert type(request).encode is not Struct.encode
    assert request.encode() == Struct.encode(request)
    assert not asked._transactional_id or transactional_id.encode() in request.encode()  # noqa: SLF001 - as given
