"""The part of the sources that a page has in view: what it costs does not grow with their number. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from msgspec import Struct

from common.escaping import printable
from ops.status.source_figures import Delivery, SourceFigures

MOST_FILES = 200
_MOST_DIGITS = 9
_DEFAULT_MOST = 60


class FilesRequest(Struct, frozen=True):
    """What is asked for: sources whose names have a text and that stand so (None: any), `most` of them from `first`."""

    contains: str = ""
    delivery: Delivery | None = None
    first: int = 0
    most: int = _DEFAULT_MOST

    def __call__(self, source: SourceFigures) -> bool:
        """Whether this one is asked for."""
        return self.contains in source.source.lower() and self.delivery in {None, source.delivery}


def read_request(query: str) -> FilesRequest:
    """What the query of an address asks for. ValueError, one line, if it cannot be read."""
    given = {name: values[-1] for name, values in parse_qs(query, max_num_fields=8).items()}
    delivery = given.get("delivery")
    return FilesRequest(
        given.get("contains", "").lower(),
        None if delivery is None else Delivery(delivery),
        _number(given, "first", 0),
        min(_number(given, "most", _DEFAULT_MOST), MOST_FILES),
    )


def files_asked_for(sources: Sequence[SourceFigures], request: FilesRequest) -> Mapping[str, Any]:
    """Those that are asked for, with the number of all that fit."""
    found = [each for each in sources if request(each)] if request.contains or request.delivery else sources
    shown = found[request.first : request.first + request.most]
    return {"count": len(found), "first": request.first, "files": [_fields_of(each) for each in shown]}


def _fields_of(source: SourceFigures) -> Mapping[str, Any]:
    return {
        "source": printable(source.source),
        "delivery": source.delivery,
        "percent": source.percent,
        "rows": source.rows,
        "rejected": source.rejected,
        "eta_s": source.eta_s,
    }


def _number(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        raise ValueError(f"{name}: not a number from 0 on")
    return int(text)
