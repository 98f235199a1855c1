"""Reading KAFKA_BOOTSTRAP_SERVERS: the hosts and ports that it names, and what is wrong with it."""

import re

_DEFAULT_PORT = 9092
_MAX_PORT = 65_535
# Host names and IPv4 addresses. A host name may not have an underscore, but Docker's names do.
_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_.])?")
_IPV6 = re.compile(r"[0-9A-Fa-f:.]+(%[A-Za-z0-9_.-]+)?")
_MAX_LABEL, _MAX_NAME = 63, 253


def servers_in(text: str) -> list[tuple[str, int]]:
    """The hosts and ports, in their order. ValueError, one line, for what cannot be right."""
    if "://" in text:
        raise ValueError("brokers are named host:port, without a scheme such as http://")
    return [_server(entry.strip()) for entry in text.split(",")]


def _server(entry: str) -> tuple[str, int]:
    if not entry:
        raise ValueError("an entry is empty: name brokers host:port, separated by commas")
    if any(sign.isspace() or sign in ";|/" for sign in entry):
        raise ValueError(f"{entry!r} is no host:port: several are separated by commas")
    if entry.startswith("["):
        host, closed, rest = entry[1:].partition("]")
        if not closed or not _IPV6.fullmatch(host) or (rest and not rest.startswith(":")):
            raise ValueError(f"{entry!r} is no [IPv6 address]:port")
        return host, _port(entry, rest[1:] if rest else None)
    host, colon, port = entry.partition(":")
    if ":" in port:
        raise ValueError(f"{entry!r} is no host:port: an IPv6 address stands in brackets, [::1]:{_DEFAULT_PORT}")
    if not _NAME.fullmatch(host) or len(host) > _MAX_NAME or not all(_is_label(label) for label in host.split(".")):
        raise ValueError(f"{entry!r}: {host!r} is no host name")
    return host, _port(entry, port if colon else None)


def _is_label(label: str) -> bool:
    return len(label) <= _MAX_LABEL


def _port(entry: str, text: str | None) -> int:
    if text is None:
        return _DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and 0 < int(text[:9]) <= _MAX_PORT and len(text) < 9):  # noqa: PLR2004 - digits
        raise ValueError(f"{entry!r}: {text!r} is no port from 1 to {_MAX_PORT}")
    return int(text)
