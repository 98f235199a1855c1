"""How far each source is read: the state ingest keeps in the compacted topic `progress`, keyed by source."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields

import orjson

from common.identity import check_version
from common.tally import NOTHING, Tally

# Raised with every change that an older service must not ignore.
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Progress:
    """A source as far as it is read, always at a record boundary.

    `offset` (bytes) and `line` (from 1) are where the next record begins; `tally` counts the rows that went on and
    `rejected` the others; `ended` that the source has ended so far, with its file at `size` bytes, last changed at
    `changed_at_ns` (of its file system's clock). `unterminated`: the last row had no line ending.
    `head` and `tail` are fingerprints of the bytes before `offset`, by which a changed file is known. `rows_id` is the
    id of the topic `rows` that its rows are in, "" where the broker told none. `begun` are the settings, by name, that
    its first bytes were read under, empty where none are read yet.
    """

    source: str
    schema: str = ""
    offset: int = 0
    line: int = 1
    tally: Tally = NOTHING
    rejected: int = 0
    ended: bool = False
    size: int = 0
    changed_at_ns: int = 0
    unterminated: bool = False
    head: str = ""
    tail: str = ""
    rows_id: str = ""
    begun: Mapping[str, str] = field(default_factory=dict)


def encode_progress(progress: Progress) -> bytes:
    """As JSON."""
    return orjson.dumps({"version": _VERSION, **asdict(progress)})


def decode_progress(value: bytes) -> Progress:
    """The progress that `encode_progress` wrote. ValueError when it is of a version that is not known."""
    found = orjson.loads(value)
    check_version(found, _VERSION)
    known = {name: found[name] for name in _NAMES if name in found}
    return Progress(**(known | {"tally": Tally(**known["tally"])}))


_NAMES = tuple(field.name for field in fields(Progress))
