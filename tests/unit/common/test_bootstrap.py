"""KAFKA_BOOTSTRAP_SERVERS: the brokers that it names, and what cannot be right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.bootstrap import servers_in


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("localhost:9092", [("localhost", 9092)]),
        ("localhost", [("localhost", 9092)]),
        ("a.example:1, b_2:65535", [("a.example", 1), ("b_2", 65535)]),
        (" 10.0.0.1:9092 ,[::1]:9093,[fe80::1%eth0]", [("10.0.0.1", 9092), ("::1", 9093), ("fe80::1%eth0", 9092)]),
    ],
)
def test_hosts_and_ports(text: str, servers: list[tuple[str, int]]) -> None:
    assert servers_in(text) == servers


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "a,", "a,,b", "localhost:", ":9092", "http://a:9092", "PLAINTEXT://a:9092", "a:9092/path"),
        *("a:9092;b:9092", "a:9092 b:9092", "a|b", "a:0", "a:65536", "a:70000", "a:-1", "a:9092x", "a:٣", "a:9" * 20),
        *(
            "::1",
            "[::1",
            "[::1]9092",
            "[::1]:",
            "[x]:1",
            "a b:1",
            "-a:1",
            "ä:1",
            "a" * 64,
            "x." * 200,
            "a:999999999999",
        ),
    ],
)
def test_what_cannot_be_right(text: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        servers_in(text)
    assert "\n" not in str(raised.value)


@given(st.text())
def test_nothing_else_is_raised(text: str) -> None:
    try:
        servers = servers_in(text)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1  # noqa: PT017 - either is right
    else:
        assert all(host and 0 < port < 65536 for host, port in servers)
