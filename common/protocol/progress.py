"""What ingest keeps in the compacted topic `progress`: how far each source is read, and each partition's run. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Literal

import orjson

from common.escaping import escaped
from common.protocol.identity import check_version
from common.rows.tally import NOTHING, Tally

# Raised with every change that an older service must not ignore.
_VERSION = 1
# Not a source's version, so that a service that knows only sources refuses a run instead of taking it for one.
_RUN_VERSION = 2
# The key of a partition's run. No source has it: their names are absolute paths, or stdin-….
RUN_KEY = b"run"


@dataclass(frozen=True, slots=True)
class Progress:
    """A source as far as it is read, always at a record boundary.

    `offset` (bytes) and `line` (from 1) are where the next record begins; `tally` counts the rows that went on and
    `rejected` the others; `ended` says that the source has ended, with its file at `size` bytes, last changed at
    `changed_at_ns` (of its file system's clock). `unterminated`: the last row had no line ending.
    `head` and `tail` are fingerprints of the bytes before `offset`, which show whether the file has changed. `rows_id`
    is the id of the topic `rows` that its rows are in, "" where the broker gave none. `reason` says why the first
    rejected row was rejected (blank lines are no rows), and `given_up` that standard input was left before its end.
    `begun` are the settings, by name, with which its first bytes were read, empty where none are read yet.
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
    reason: str = ""
    given_up: bool = False
    begun: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Run:
    """What ingest does with a partition of `progress`, which it records even where it finds no source.

    It `follows` the input as a service; or, with ONCE, `reads` it, until all of it is read and the partition is `done`.
    `round` names the assignment of the group that it belongs to: a finite run has ended when all partitions are done in
    one round. `unread` is how many sources and folders were not read to their end, and `why` the first one's reason.
    """

    partition: int
    round: str
    state: Literal["follows", "reads", "done"]
    unread: int = 0
    why: str = ""


def encode_run(run: Run) -> bytes:
    """As JSON."""
    return orjson.dumps({"version": _RUN_VERSION, "run": asdict(run) | {"why": escaped(run.why)}})


def encode_progress(progress: Progress) -> bytes:
    """As JSON."""
    return orjson.dumps({"version": _VERSION, **asdict(progress)})


def decode_progress(value: bytes) -> Progress | Run:
    """What `encode_progress` or `encode_run` wrote. Raises ValueError for an unknown version."""
    found = orjson.loads(value)
    if "run" in found:
        check_version(found, _RUN_VERSION)
        return Run(**{name: each for name, each in found["run"].items() if name in _RUN_NAMES})
    check_version(found, _VERSION)
    known = {name: found[name] for name in _NAMES if name in found}
    return Progress(**(known | {"tally": Tally(**known["tally"])}))


_NAMES = tuple(field.name for field in fields(Progress))
_RUN_NAMES = tuple(field.name for field in fields(Run))
