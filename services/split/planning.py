"""Planning a start from what is committed: which splits of SPLIT_BY go on, which are filled, which rest. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from common.protocol.position import HeldSplit, Position, PositionError, SplitGroup, digest, merged_groups
from services.split.categories.splits import Split


class RedefinedError(Exception):
    """A split's name is already in use with another definition, that of `held`."""

    def __init__(self, split: Split, held: HeldSplit) -> None:
        super().__init__(split.name)
        self.split = split
        self.held = held


class ExpiredError(Exception):
    """Retention has deleted the rows from `first` to before `beginning`; `splits` need them, or, when empty, all do."""

    def __init__(self, first: int, beginning: int, splits: Collection[HeldSplit]) -> None:
        super().__init__(f"{first} to {beginning}")
        self.first = first
        self.beginning = beginning
        self.splits = splits


class Plan(Struct, frozen=True):
    """The position to begin at; the splits that are new or back, with rows to catch up with; those that are gone."""

    position: Position
    new: tuple[HeldSplit, ...] = ()
    back: tuple[HeldSplit, ...] = ()
    gone: tuple[HeldSplit, ...] = ()


def plan(committed: Position | None, splits: Sequence[Split], beginning: int) -> Plan:
    """Plan a start. `committed` is None where nothing is; `beginning` is the first offset that the partition still has.

    Raises RedefinedError, ExpiredError, and PositionError for a position that makes no sense.
    """
    before = committed or Position()
    wanted = {digest(split.name): split for split in splits}
    _check_definitions(before, wanted)
    here = before.main.offset
    if any(group.offset > here for group in before.groups):
        raise PositionError("the offset was moved by hand: splits that are filled stand beyond it")
    going_on, leaving = _parted((before.main, *before.filling), wanted)
    returning, staying = _parted(before.resting, wanted)
    main, *filling = going_on
    known = {held.name for group in before.groups for held in group.splits}
    new = tuple(HeldSplit(name, digest(split.definition)) for name, split in wanted.items() if name not in known)
    filling += [_closed(group, here) for group in returning]
    filling.append(SplitGroup(0, 0, new, ((0, here),) if here else ()))
    may_begin = before.begin == beginning
    if main.offset < beginning and not may_begin:
        raise ExpiredError(main.offset, beginning, ())
    for group in filling:
        if group.splits and group.offset < beginning and not may_begin:
            raise ExpiredError(group.offset, beginning, group.splits)
    position, _ = join_main_group(
        replace(
            before,
            main=_not_before(beginning, main),
            filling=merged_groups(passed(_not_before(beginning, group)) for group in filling),
            resting=merged_groups([*staying, *(_opened(group, here) for group in leaving)]),
            begin=None,
        )
    )
    to_fill = {held.name for group in position.filling for held in group.splits}
    return Plan(
        position,
        tuple(held for held in new if held.name in to_fill),
        tuple(held for held in _splits_of(returning) if held.name in to_fill),
        _splits_of(leaving),
    )


def join_main_group(position: Position) -> tuple[Position, tuple[HeldSplit, ...]]:
    """Merge the splits that have reached the main group into it; also return them."""
    main = position.main
    arrived = _splits_of(group for group in position.filling if group.offset >= main.offset)
    if not arrived:
        return position, ()
    filling = tuple(group for group in position.filling if group.offset < main.offset)
    return replace(position, main=replace(main, splits=main.splits + arrived), filling=filling), arrived


def passed(group: SplitGroup) -> SplitGroup:
    """The group without the gaps that it has passed."""
    gaps = tuple((since, until) for since, until in group.gaps if until is None or until > group.offset)
    return replace(group, gaps=gaps)


def _check_definitions(position: Position, wanted: Mapping[str, Split]) -> None:
    for held in _splits_of(position.groups):
        split = wanted.get(held.name)
        if split is not None and digest(split.definition) != held.definition:
            raise RedefinedError(split, held)


def _parted(groups: Iterable[SplitGroup], wanted: Collection[str]) -> tuple[list[SplitGroup], list[SplitGroup]]:
    """The groups with the wanted splits alone, and the same groups with the others alone."""
    groups = list(groups)
    with_wanted = [_only(group, wanted, is_wanted=True) for group in groups]
    return with_wanted, [_only(group, wanted, is_wanted=False) for group in groups]


def _only(group: SplitGroup, wanted: Collection[str], *, is_wanted: bool) -> SplitGroup:
    return replace(group, splits=tuple(held for held in group.splits if (held.name in wanted) == is_wanted))


def _opened(group: SplitGroup, here: int) -> SplitGroup:
    """Put the group to rest, with the main group here."""
    last = group.gaps[-1] if group.gaps else None
    if last is not None and last[1] == here:
        return replace(group, gaps=(*group.gaps[:-1], (last[0], None)))
    return replace(group, gaps=(*passed(group).gaps, (here, None)))


def _closed(group: SplitGroup, here: int) -> SplitGroup:
    """Take the group from its rest, with the main group here."""
    gaps = tuple((since, here if until is None else until) for since, until in group.gaps)
    return replace(group, gaps=tuple(gap for gap in gaps if gap[0] < gap[1]))


def _not_before(beginning: int, group: SplitGroup) -> SplitGroup:
    """The group, moved up to the partition's beginning if it was before that."""
    return group if group.offset >= beginning else replace(group, offset=beginning, mark_offset=beginning)


def _splits_of(groups: Iterable[SplitGroup]) -> tuple[HeldSplit, ...]:
    return tuple(held for group in groups for held in group.splits)
