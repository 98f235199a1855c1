"""What ingest keeps in the compacted topic `progress`: how far each source is read, and each partition's run. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import orjson
from msgspec import Struct, field, to_builtins

from common.escaping import escaped
from common.protocol.decoding import as_written
from common.protocol.identity import check_version
from common.rows.tally import NOTHING, Tally

# Incremented with every change that an older service must not ignore.
_VERSION = 1
# Not a source's version, so that a service that knows only sources refuses a run instead of taking it for one.
_RUN_VERSION = 2
# The key of a partition's run. No source has it: their names are absolute paths, or stdin-….
RUN_KEY = b"run"


class DepartureStage(StrEnum):
    """How far a file has left. Each is committed before its step is taken, and GONE once all is done."""

    # It gets a hidden name beside its own.
    ASIDE = "aside"
    # It goes to its target, or is deleted.
    LEAVING = "leaving"
    GONE = "gone"


class Departure(Struct, frozen=True):
    """How a source's file leaves INPUT once everything up to the end with this number is delivered.

    `file` is its device and inode. It was at `path` and waits as `aside`; `target` is where it goes, "" if it is
    deleted. All three are written as the names of sources are.
    """

    stage: DepartureStage
    end: int
    file: str
    path: str
    aside: str
    target: str = ""


class Progress(Struct, frozen=True):
    """How far a source is read, always to a record boundary.

    `offset` (bytes) and `line` (from 1) are where the next record begins; `tally` counts the rows that were sent and
    `rejected` the others. `ended`: the source has ended, when its file had `size` bytes and was last changed at
    `changed_at_ns` (of its file system's clock). `unterminated`: the last row had no line ending. `head` and `tail` are
    fingerprints of the bytes before `offset`, which show whether the file has changed. `rows_id` is the id of the topic
    `rows` that has its rows, "" where the broker gave none. `reason` is why the first row was rejected (a blank line is
    no row). `given_up`: standard input was left before its end. `begun` are the settings, by name, with which its first
    bytes were read, empty while none are read. `ends` counts how often it has ended: a file that grows has many ends.
    `format` is the one in which its first rows were written: there are receipts from format 2 on. `is_spread`: some of
    its rows are in other partitions of `rows` than its own, as ORDER=none has them. `cut` is how many rejected rows
    were too long to be kept whole. `is_touched`: since the source ended, its file got another time, and only what the
    fingerprints are of was compared. `departure` says how its file leaves, None where it stays.
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
    ends: int = 0
    format: int = 1
    is_spread: bool = False
    cut: int = 0
    is_touched: bool = False
    departure: Departure | None = None


class Run(Struct, frozen=True):
    """What ingest does with a partition of `progress`, recorded even if the partition has no source.

    As a service, ingest `follows` its input. With ONCE, it `reads` the input until all of it is read and the partition
    is `done`. `round` names the group's assignment that this belongs to: a finite run has ended when all partitions are
    done in one round. `unread` is how many sources and folders were not read to their ends, `skipped` how many sources
    SKIP_LINES leaves nothing of, `why` the first one's reason.
    """

    partition: int
    round: str
    state: Literal["follows", "reads", "done"]
    unread: int = 0
    why: str = ""
    skipped: int = 0


def encode_run(run: Run) -> bytes:
    """As JSON."""
    return orjson.dumps({"version": _RUN_VERSION, "run": to_builtins(run) | {"why": escaped(run.why)}})


def encode_progress(progress: Progress) -> bytes:
    """As JSON."""
    values = to_builtins(progress)
    if progress.departure is None:
        del values["departure"]
    return orjson.dumps({"version": _VERSION, **values})


def decode_progress(value: bytes) -> Progress | Run:
    """What `encode_progress` or `encode_run` wrote. Raises ValueError for an unknown version."""
    with as_written():
        found = orjson.loads(value)
        if "run" in found:
            check_version(found, _RUN_VERSION)
            return Run(**{name: each for name, each in found["run"].items() if name in _RUN_NAMES})
        check_version(found, _VERSION)
        known = {name: found[name] for name in _NAMES if name in found}
        changed = {"tally": Tally(**known["tally"]), "departure": _departure_of(found.get("departure"))}
        return Progress(**(known | changed))


def _departure_of(found: Mapping[str, Any] | None) -> Departure | None:
    if found is None:
        return None
    known = {name: found[name] for name in _DEPARTURE_NAMES if name in found}
    return Departure(**(known | {"stage": DepartureStage(known["stage"])}))


_NAMES = Progress.__struct_fields__
_RUN_NAMES = Run.__struct_fields__
_DEPARTURE_NAMES = Departure.__struct_fields__
