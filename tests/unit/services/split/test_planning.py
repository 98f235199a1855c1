"""A start's plan against a model: whenever splits come and go, each gets every row once and in order."""

from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from common.protocol.messages import Mark
from common.protocol.position import (
    HeldSplit,
    Position,
    PositionError,
    SplitGroup,
    decode_position,
    digest,
    encode_position,
    merged_groups,
)
from services.split.categories.provenance import MarkedRows, outside
from services.split.categories.splits import Split, parse_split_by
from services.split.planning import ExpiredError, Plan, RedefinedError, join_main_group, passed, plan

NAMES = ("a", "b", "c")
MARK = Mark("s", "schema", 2, 0, b"\n", plain=True)


def splits_of(names: Sequence[str]) -> tuple[Split, ...]:
    return parse_split_by(",".join(names))


def held(name: str, definition: str = "") -> HeldSplit:
    return HeldSplit(digest(name), digest(definition or name))


class Model:
    """Processes a log, one row per offset; `log` names the one split that a row is for, "" for all."""

    def __init__(self, log: Sequence[str]) -> None:
        self.log = log
        self.committed: Position | None = None
        self.carried: defaultdict[str, list[int]] = defaultdict(list)
        self.rejected: list[tuple[str, int]] = []

    def run(self, wanted: Sequence[str], steps: Sequence[tuple[bool, int]]) -> None:
        """One process of split, which ends at any point."""
        position = plan(self.committed, splits_of(wanted), 0).position
        for is_main, rows in steps:
            position = self._pass(position, wanted, rows) if is_main else self._fill(position, rows)
            position, _ = join_main_group(position)
            self.committed = decode_position(encode_position(position), position.main.offset)

    def _pass(self, position: Position, wanted: Sequence[str], rows: int) -> Position:
        main = position.main
        end = min(main.offset + rows, len(self.log))
        for offset in range(main.offset, end):
            only = self.log[offset]
            self._carry(main, offset)
            if only and only not in wanted:
                self.rejected.append((only, offset))
        return replace(position, main=replace(main, offset=end))

    def _fill(self, position: Position, rows: int) -> Position:
        if not position.filling:
            return position
        first = position.filling[0].offset
        moving = [group for group in position.filling if group.offset == first]
        others = [group for group in position.filling if group.offset > first]
        end = min([first + rows, position.main.offset, *(group.offset for group in others)])
        for group in moving:
            for offset in range(first, end):
                self._carry(group, offset)
        moved = [passed(replace(group, offset=end)) for group in moving]
        return replace(position, filling=merged_groups([*moved, *others]))

    def _carry(self, group: SplitGroup, offset: int) -> None:
        for each in group.splits:
            name = next(name for name in NAMES if digest(name) == each.name)
            marked = MarkedRows(replace(MARK, split=self.log[offset]), (), [b"row"], offset)
            if not self.log[offset] or (self.log[offset] == name and any(outside(marked, group.gaps))):
                self.carried[name].append(offset)


STEPS = st.lists(st.tuples(st.booleans(), st.integers(1, 8)), max_size=6)
LIVES = st.lists(st.tuples(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True), STEPS), max_size=6)


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["", "", "", *NAMES]), max_size=25), LIVES)
def test_whenever_splits_come_and_go_each_has_each_row_once_and_in_order(
    log: list[str], lives: list[tuple[list[str], list[tuple[bool, int]]]]
) -> None:
    model = Model(log)
    for wanted, steps in lives:
        model.run(wanted, steps)
    model.run(NAMES, [(True, 100), *[(False, 100)] * 10])
    assert model.committed is not None
    assert (model.committed.filling, model.committed.resting) == ((), ())
    for name in NAMES:
        rejected = [offset for only, offset in model.rejected if only == name]
        wanted_offsets = [offset for offset, only in enumerate(log) if not only or only == name]
        assert model.carried[name] == [offset for offset in wanted_offsets if offset not in rejected]
    assert len(model.rejected) == len(set(model.rejected))


def test_with_nothing_committed_all_splits_go_on_together() -> None:
    planned = plan(None, splits_of(["a", "b"]), 0)
    assert planned == Plan(Position(SplitGroup(splits=(held("a"), held("b")))))


def test_a_new_split_is_filled_and_one_that_is_gone_rests_where_it_was() -> None:
    committed = Position(SplitGroup(100, 90, (held("a"), held("b"))))
    planned = plan(committed, splits_of(["b", "c"]), 0)
    assert planned.position == Position(
        SplitGroup(100, 90, (held("b"),)),
        (SplitGroup(0, 0, (held("c"),), ((0, 100),)),),
        (SplitGroup(100, 90, (held("a"),), ((100, None),)),),
    )
    assert (planned.new, planned.back, planned.gone) == ((held("c"),), (), (held("a"),))
    later = replace(planned.position, main=replace(planned.position.main, offset=150), filling=())
    returned = plan(later, splits_of(["a", "b"]), 0)
    assert returned.position.filling == (SplitGroup(100, 90, (held("a"),), ((100, 150),)),)
    assert (returned.new, returned.back, returned.gone) == ((), (held("a"),), ())


def test_another_definition_under_a_known_name_is_refused_also_for_one_that_is_gone() -> None:
    known = HeldSplit(digest("Rings"), digest("Rings:int"))
    for committed in (
        Position(SplitGroup(9, 0, (known,))),
        Position(SplitGroup(9), resting=(SplitGroup(3, 0, (known,)),)),
    ):
        with pytest.raises(RedefinedError) as caught:
            plan(committed, parse_split_by("Rings:float"), 0)
        assert caught.value.held == known
        renamed = plan(committed, parse_split_by(' Rings : int,x="Rings":float'), 0)
        assert [split.name for split in renamed.new] == [digest("x")]


def test_rows_that_retention_deleted_are_missed_only_by_splits_that_need_them() -> None:
    committed = Position(SplitGroup(100, 90, (held("a"),)), resting=(SplitGroup(10, 0, (held("b"),), ((20, None),)),))
    assert plan(committed, splits_of(["a"]), 50).position.main.offset == 100
    for names, missing in ((["a", "c"], held("c")), (["a", "b"], held("b"))):
        with pytest.raises(ExpiredError) as caught:
            plan(committed, splits_of(names), 50)
        assert caught.value.splits == (missing,)
    for some in (committed, None):
        with pytest.raises(ExpiredError) as caught:
            plan(some, splits_of(["a"]), 101)
        assert caught.value.splits == ()


def test_an_accepted_beginning_is_used_once_and_only_while_it_is_the_beginning() -> None:
    committed = Position(SplitGroup(100, 90, (held("a"),)), begin=50)
    position = plan(committed, splits_of(["a", "c"]), 50).position
    assert position.filling == (SplitGroup(50, 50, (held("c"),), ((0, 100),)),)
    assert position.begin is None
    with pytest.raises(ExpiredError):
        plan(committed, splits_of(["a", "c"]), 60)
    fresh = plan(Position(SplitGroup(50), begin=50), splits_of(["a", "c"]), 50).position
    assert (fresh.main, fresh.filling) == (SplitGroup(50, 0, (held("a"), held("c"))), ())
    late = plan(replace(committed, begin=120), splits_of(["a"]), 120).position
    assert late.main.offset == 120


def test_an_offset_that_was_moved_back_by_hand_is_refused() -> None:
    committed = Position(SplitGroup(5), (SplitGroup(7, 0, (held("a"),)),))
    with pytest.raises(PositionError, match="by hand"):
        plan(committed, splits_of(["a"]), 0)
