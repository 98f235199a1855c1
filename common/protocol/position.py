"""What split commits as metadata beside an offset of `rows`: how far each split has come, and in which topics. Pure.

Splits at the same offset form a group. The main group is at the committed offset. Groups that are filling are behind
it, because their splits are new or back; resting groups have the splits that SPLIT_BY no longer names.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

VERSION = 1
# A broker accepts 4,096 bytes by default (offset.metadata.max.bytes); the rest is for later fields.
MOST_BYTES = 4_000
_WIDEST = 10**15 - 1
_WIDEST_TOPIC_ID = "A" * 22

Gap = tuple[int, int | None]


class PositionError(Exception):
    """A position from which this version cannot go on; the message says why."""


class HeldSplit(Struct, frozen=True):
    """A split in a position: digests of its name and of its definition, and how many rows it has rejected.

    `placed`: at least one row had a category in it.
    """

    name: str
    definition: str
    rejected: int = 0
    placed: bool = False


class SplitGroup(Struct, frozen=True):
    """Splits that have all rows before `offset`; `mark_offset` is the offset of the last mark before it.

    The `gaps` run from one offset to before another (None: no end yet). When the main group passed them, the splits
    were not in SPLIT_BY, so rows that a replay sent to one of them alone were rejected.
    """

    offset: int = 0
    mark_offset: int = 0
    splits: tuple[HeldSplit, ...] = ()
    gaps: tuple[Gap, ...] = ()


class Position(Struct, frozen=True):
    """How far one of `partitions` partitions of `rows` is processed.

    `rows` counts the rows that the main group has passed. `topics` are the ids of the topics that the position depends
    on, by short name. `begin` permits split, once, to begin at this offset although the records before it are gone.
    """

    main: SplitGroup = SplitGroup()
    filling: tuple[SplitGroup, ...] = ()
    resting: tuple[SplitGroup, ...] = ()
    rows: int = 0
    partitions: int = 0
    topics: Mapping[str, str] = field(default_factory=dict)
    begin: int | None = None

    @property
    def groups(self) -> tuple[SplitGroup, ...]:
        """All groups, the main one first."""
        return self.main, *self.filling, *self.resting


def digest(text: str) -> str:
    """Six bytes of a text's hash in base64: among 80 texts, the chance that two collide is 1 in 90 billion."""
    return b64encode(blake2b(text.encode(), digest_size=6).digest()).decode()


def digest_splits(splits: Iterable[HeldSplit]) -> str:
    """A digest of these splits' names and definitions: the same in any order, whatever they have rejected."""
    return digest("\n".join(sorted(f"{held.name} {held.definition}" for held in splits)))


def encode_position(position: Position) -> str:
    """As JSON, without the main group's offset, which is the committed offset itself."""
    fields: dict[str, Any] = {
        "version": VERSION,
        "topics": dict(position.topics),
        "partitions": position.partitions,
        "rows": position.rows,
        "main": _group_fields(position.main, with_offset=False),
        "filling": [_group_fields(group) for group in position.filling],
        "resting": [_group_fields(group) for group in position.resting],
        "begin": position.begin,
    }
    return orjson.dumps({name: value for name, value in fields.items() if value not in (None, [], {})}).decode()


def decode_position(metadata: str, offset: int) -> Position:
    """The position in metadata committed with this offset. Raises PositionError where this version cannot read it."""
    try:
        fields = orjson.loads(metadata)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict) or "version" not in fields:
        raise PositionError("it does not say its version, so an earlier version or another tool wrote it")
    if fields["version"] != VERSION:
        raise PositionError(f"its version is {fields['version']}, and this version of split reads {VERSION}")
    try:
        return Position(
            replace(_group(fields.get("main", {})), offset=offset),
            tuple(_group(each) for each in fields.get("filling", ())),
            tuple(_group(each) for each in fields.get("resting", ())),
            fields.get("rows", 0),
            fields.get("partitions", 0),
            fields.get("topics", {}),
            fields.get("begin"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PositionError(f"it is damaged ({error!r})") from None


def widest_size(position: Position) -> int:
    """The most bytes that a position of these groups can take, whatever its numbers become."""
    widest = replace(
        position,
        main=_widest(position.main),
        filling=tuple(map(_widest, position.filling)),
        resting=tuple(map(_widest, position.resting)),
        rows=_WIDEST,
        topics=dict.fromkeys(("rows", "categorized", "rejected", "schemas"), _WIDEST_TOPIC_ID) | dict(position.topics),
        begin=_WIDEST,
    )
    return len(encode_position(widest))


def misplaced(remembered: Mapping[str, str], present: Mapping[str, str]) -> list[str]:
    """The topics whose id is not the remembered one; an id that is unknown on either side is accepted."""
    return [name for name, known in remembered.items() if known and present.get(name, "") not in ("", known)]


def merged_groups(groups: Iterable[SplitGroup]) -> tuple[SplitGroup, ...]:
    """The groups, sorted by offset; those of the same offset and gaps are merged, those without splits left out."""
    found: dict[tuple[int, tuple[Gap, ...]], SplitGroup] = {}
    for group in groups:
        if group.splits:
            key = group.offset, group.gaps
            known = found.get(key, replace(group, splits=()))
            mark_offset = min(known.mark_offset, group.mark_offset)
            found[key] = replace(group, mark_offset=mark_offset, splits=known.splits + group.splits)
    return tuple(sorted(found.values(), key=lambda group: group.offset))


def _widest(group: SplitGroup) -> SplitGroup:
    splits = tuple(replace(held, rejected=_WIDEST) for held in group.splits)
    gaps = tuple((_WIDEST, _WIDEST) for _ in group.gaps)
    return SplitGroup(_WIDEST, _WIDEST, splits, gaps)


def _group_fields(group: SplitGroup, *, with_offset: bool = True) -> dict[str, Any]:
    fields: dict[str, Any] = {"offset": group.offset} if with_offset else {}
    fields |= {
        "mark": group.mark_offset,
        "splits": [(held.name, held.definition, held.rejected, int(held.placed)) for held in group.splits],
    }
    if group.gaps:
        fields["gaps"] = group.gaps
    return fields


def _group(fields: Mapping[str, Any]) -> SplitGroup:
    return SplitGroup(
        fields.get("offset", 0),
        fields.get("mark", 0),
        tuple(_held(*held[:4]) for held in fields.get("splits", ())),
        tuple((since, until) for since, until in fields.get("gaps", ())),
    )


def _held(name: str, definition: str, rejected: int = 0, placed: int = 1) -> HeldSplit:
    # Where a position does not say, assume that rows were placed.
    return HeldSplit(name, definition, rejected, bool(placed))
