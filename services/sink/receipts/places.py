"""How far the receipts are posted to ON_DELIVERY, and what its answers mean. Pure."""

from enum import Enum, auto

import orjson
from msgspec import Struct

from common.protocol.identity import is_other

_VERSION = 1
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
# These answers refuse the request itself. A new token or another route may turn the others into a 2xx.
_REFUSALS = frozenset({400, 405, 409, 410, 413, 415, 422})


class Place(Struct, frozen=True):
    """The first record of `receipts`, in the topic with this id, that may not be posted yet."""

    topic_id: str
    offset: int


class Taken(Enum):
    """What becomes of a receipt that was posted."""

    YES = auto()
    # Another try would get the same answer.
    NO = auto()
    NOT_YET = auto()


def encode_place(place: Place) -> bytes:
    """As JSON."""
    return orjson.dumps({"version": _VERSION, "topic_id": place.topic_id, "offset": place.offset})


def decode_place(value: bytes, topic_id: str) -> Place | None:
    """The place that `encode_place` wrote; None if it is of another topic, or of another version."""
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(fields, dict) or fields.get("version") != _VERSION:
        return None
    known, offset = fields.get("topic_id"), fields.get("offset")
    if not isinstance(known, str) or not isinstance(offset, int) or is_other(known, topic_id):
        return None
    return Place(topic_id, offset)


def taken(status: int) -> Taken:
    """What an answer with this HTTP status means. A redirect is not followed."""
    if 200 <= status < 300:  # noqa: PLR2004 - RFC 9110
        return Taken.YES
    return Taken.NO if status in _REFUSALS else Taken.NOT_YET


def pause_before_next_s(failures: int) -> float:
    """How long to wait after so many tries in a row, at least one: a second, and then twice as long each time."""
    return float(min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** min(failures - 1, 16)))
