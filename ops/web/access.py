"""Who may read the page: by the host that is asked for, by the site that asks, and by the token. Pure."""

from collections.abc import Iterable
from enum import StrEnum
from hmac import compare_digest
from ipaddress import IPv4Address, IPv6Address, ip_address
from string import ascii_letters, digits

from msgspec import Struct

LOCALHOST = "localhost"
PAGE = "/"
# Guessing one of these would take longer than the universe has existed.
_LEAST_TOKEN = 16
# They need no escape in an address, a cookie or a header.
_TOKEN_SIGNS = frozenset(ascii_letters + digits + "-._~")
_OWN_SITES = frozenset({"same-origin", "none", ""})


class Access(Struct, frozen=True):
    """The names that the server goes by, beside its addresses; the token, "" where none is asked for; its cookie."""

    names: frozenset[str]
    token: str = ""
    cookie: str = "nacre-web"


class Asked(Struct, frozen=True):
    """What a request says of itself: every Host, the token and the path in its address, the headers of these names."""

    hosts: tuple[str, ...]
    token: str = ""
    cookie: str = ""
    authorization: str = ""
    fetch_site: str = ""
    fetch_mode: str = ""
    path: str = PAGE


class Admission(StrEnum):
    """What becomes of a request."""

    ADMITTED = "admitted"
    # It has come by the link: the browser keeps the token as a cookie, and the address loses it.
    BY_LINK = "by link"
    WRONG_HOST = "the address names a host that this server does not go by: see nacre web --help, --allow-host"
    OTHER_SITE = "another site's page has asked"
    UNPROVEN = "a token is needed: open the link that nacre web has printed, or set the header Authorization: Bearer"


def admit(asked: Asked, access: Access) -> Admission:
    """Whether this request is answered."""
    if len(asked.hosts) != 1 or not _is_ours(asked.hosts[0], access.names):
        # Not ours: a page whose own name was made to lead here, to read what it must not (DNS rebinding).
        return Admission.WRONG_HOST
    # A link from elsewhere may lead to the page itself, and to nothing else: least of all to a stream, which stays.
    if asked.fetch_site not in _OWN_SITES and (asked.fetch_mode, asked.path) != ("navigate", PAGE):
        return Admission.OTHER_SITE
    if not access.token:
        return Admission.ADMITTED
    if asked.token and _is_same(asked.token, access.token):
        return Admission.BY_LINK
    bearer = asked.authorization.removeprefix("Bearer ")
    given = [bearer, *_cookies(asked.cookie, access.cookie)]
    # All are compared, so that the time says nothing of which one came close.
    return Admission.ADMITTED if any([_is_same(each, access.token) for each in given]) else Admission.UNPROVEN  # noqa: C419


def is_local(host: str) -> bool:
    """Whether only this machine reaches a server that listens there."""
    address = _address(host)
    return host == LOCALHOST if address is None else address.is_loopback


def names_of(host: str, machine: str, others: Iterable[str]) -> frozenset[str]:
    """The names of a server that listens at `host` of `machine`."""
    own = {LOCALHOST, host, *others} if is_local(host) else {LOCALHOST, host, machine, *others}
    return frozenset(each.lower() for each in own if each)


def check_token(token: str) -> None:
    """ValueError, one line, unless the token is fit to be one."""
    if len(token) < _LEAST_TOKEN:
        raise ValueError(f"{len(token)} characters: it needs {_LEAST_TOKEN} at least")
    if not _TOKEN_SIGNS.issuperset(token):
        raise ValueError("it may have letters of ASCII, digits and -._~")


def link_to(host: str, port: int, token: str) -> str:
    """The address of the page, as a person opens it."""
    address = _address(host)
    name = host if address is None else LOCALHOST if address.is_unspecified else str(address)
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{port}/" + (f"?token={token}" if token else "")


def _is_ours(host: str, names: frozenset[str]) -> bool:
    """Whether a Host header names this server. Any address does: no other site has one as its name."""
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in {"", ":"}:
            return False
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return False
    name = name.lower().removesuffix(".")
    return name in names or _address(name) is not None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _cookies(header: str, name: str) -> list[str]:
    pairs = (each.strip().partition("=") for each in header.split(";"))
    return [value for key, _, value in pairs if key == name]


def _is_same(given: str, token: str) -> bool:
    return compare_digest(given.encode(errors="replace"), token.encode())
