"""What one partition of sink has safe of a source, its share, as it is in the compacted topic `shares`. Pure.

A share is issued after the commit of the ledger that it is read from. The shares of all partitions make a receipt.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import orjson
from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

from common.protocol.decoding import as_written
from common.protocol.identity import check_version
from common.protocol.messages import Ended
from common.rows.tally import NOTHING, Tally

_VERSION = 1
# The split of what was rejected before any split.
EVERY_SPLIT = ""


class CountKind(StrEnum):
    """How rows came to be counted."""

    # Read from the source, in its order.
    READ = "read"
    # Rejected before, and sent again by a replay.
    REPLAY = "replay"
    # What replays have sent, by their notes.
    SENT = "sent"
    # The rejections that replays have sent again, as they were.
    TAKEN = "taken"
    # Written in format 1, before the pipeline was upgraded: only their number is known, and not whose they are.
    OLDER = "older"


class Counted(NamedTuple):
    """What a tally is of: a kind of rows for one split, or EVERY_SPLIT. `code` is why they were rejected, or ""."""

    split: str
    kind: CountKind = CountKind.READ
    code: str = ""

    @property
    def is_void_anew(self) -> bool:
        """Whether it counts no more once the source is read from its beginning again.

        Not what replays have sent: it has a balance of its own.
        """
        return self.kind is CountKind.READ or (self.kind is CountKind.TAKEN and self.split == EVERY_SPLIT)


Tallies = Mapping[Counted, Tally]


class Times(Struct, frozen=True):
    """The latencies of the rows up to an end and of replays, by bucket, and when the last row was durable.

    `safe_ms` is in ms since 1970.
    """

    latencies: Mapping[int, int] = field(default_factory=dict)
    safe_ms: int = 0


class Snapshot(Struct, frozen=True):
    """The rows of kind READ that a partition had at an end of the source, for each split that the end speaks of."""

    ended: Ended
    tallies: Tallies
    times: Times = field(default_factory=Times)

    def with_splits(self, other: "Snapshot") -> "Snapshot":
        """The snapshot with the splits of another one at the same end, which was taken later."""
        splits = _either(self.ended.splits, other.ended.splits)
        split_by = _either(self.ended.split_by, other.ended.split_by)
        ended = replace(self.ended, splits=splits, split_by=split_by)
        return Snapshot(ended, {**self.tallies, **other.tallies}, other.times)


def _either(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *other)))


class FileNames(Struct, frozen=True):
    """Some of the files that hold rows of a source, by their final paths below OUTPUT_DIR; `more`: there are others."""

    paths: tuple[str, ...] = ()
    more: bool = False


class Share(Struct, frozen=True):
    """A partition's share of a source in the output folder with this id.

    `partition` is its topic's short name and its number. `offset` is the ledger's next one: of two shares the one with
    the higher offset is newer. `tallies` are of the kinds other than READ.
    """

    source: str
    partition: str
    folder: str
    offset: int
    snapshots: tuple[Snapshot, ...]
    tallies: Tallies = field(default_factory=dict)
    files: Mapping[str, FileNames] = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        """The record's key."""
        return share_key(self.partition, self.source)


def share_key(partition: str, source: str) -> bytes:
    """The key of a partition's share of a source."""
    return f"{partition} {source}".encode()


def encode_share(share: Share) -> bytes:
    """As JSON."""
    # Versions in which ends had no times of their own read those of the share.
    newest = max(share.snapshots, key=lambda each: each.ended.number).times
    return orjson.dumps(
        {
            "version": _VERSION,
            "source": share.source,
            "partition": share.partition,
            "folder": share.folder,
            "offset": share.offset,
            "ends": [
                {
                    "ended": to_builtins(each.ended),
                    "tallies": list_tallies(each.tallies),
                    **({} if each.times == newest else fields_of(each.times)),
                }
                for each in share.snapshots
            ],
            "tallies": list_tallies(share.tallies),
            "files": {split: [list(names.paths), names.more] for split, names in share.files.items()},
            **fields_of(newest),
        }
    )


def decode_share(value: bytes) -> Share:
    """The share that `encode_share` wrote. Raises ValueError for an unknown version."""
    with as_written():
        fields = orjson.loads(value)
        check_version(fields, _VERSION)
        return Share(
            fields["source"],
            fields["partition"],
            fields["folder"],
            fields["offset"],
            tuple(
                Snapshot(
                    decode_ended(each["ended"]),
                    tallies_of(each["tallies"]),
                    times_of(each if "latencies" in each else fields),
                )
                for each in fields["ends"]
            ),
            tallies_of(fields["tallies"]),
            {split: FileNames(tuple(paths), more) for split, (paths, more) in fields["files"].items()},
        )


def fields_of(times: Times) -> dict[str, Any]:
    """Times, to be written as JSON."""
    return {"latencies": list(times.latencies.items()), "safe_ms": times.safe_ms}


def times_of(fields: Mapping[str, Any]) -> Times:
    """The times that `fields_of` wrote."""
    return Times(dict(fields["latencies"]), fields["safe_ms"])


def decode_ended(fields: Mapping[str, Any]) -> Ended:
    """The end in these fields, as JSON has them. A newer version of the same format may have more of them."""
    known = {name: fields[name] for name in Ended.__struct_fields__ if name in fields}
    splits = {name: tuple(fields[name]) for name in ("splits", "split_by")}
    return Ended(**{**known, **splits, "tally": Tally(**fields["tally"])})


def total(tallies: Tallies, split: str, kind: CountKind) -> Tally:
    """The sum over all codes."""
    return sum((tally for key, tally in tallies.items() if key.split == split and key.kind == kind), NOTHING)


def list_tallies(tallies: Tallies) -> list[list[Any]]:
    """Tallies, to be written as JSON."""
    return [[*key, tally.rows, tally.size, tally.checksum] for key, tally in tallies.items()]


def tallies_of(listed: list[list[Any]]) -> dict[Counted, Tally]:
    """What `list_tallies` listed."""
    return {Counted(split, CountKind(kind), code): Tally(*numbers) for split, kind, code, *numbers in listed}
