"""Which replicas get partitions where SPLIT_BY differs: one kind at a time, and the one at work before others."""

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from common.kafka.assignors import KindAssignor, Member, choose
from services.split.categories.splits import kind_of_splits

CLUSTER: Any = SimpleNamespace(partitions_for_topic=lambda _topic: set(range(6)))
SPLIT_BYS = ("Sex", "Rings:int", "Sex,Rings:int")


def assignor(split_by: str, since: float) -> KindAssignor:
    return KindAssignor(kind_of_splits(split_by), "SPLIT_BY", split_by, since)


def rebalance(members: dict[str, KindAssignor], leader: str) -> dict[str, int]:
    """How many partitions each has."""
    said = {each: member.metadata(["rows"]) for each, member in members.items()}
    given_out = members[leader].assign(CLUSTER, said)
    assert given_out.keys() == members.keys()
    for each, member in members.items():
        member.on_assignment(given_out[each])
    return {each: len(assignment.partitions()) for each, assignment in given_out.items()}


def test_the_newcomer_waits_says_why_and_takes_over_when_the_others_are_gone() -> None:
    members = {"b": assignor("Sex", 10), "a": assignor("Sex", 20)}
    assert rebalance(members, "a") == {"a": 3, "b": 3}
    # An earlier start does not matter once others are at work.
    members["c"] = assignor("Sex,Rings:int", 5)
    assert rebalance(members, "c") == {"a": 3, "b": 3, "c": 0}
    assert "the other replicas have SPLIT_BY=Sex, this one has SPLIT_BY=Sex,Rings:int" in str(members["c"].standing_by)
    assert members["a"].standing_by is None
    # Also when the leader is the one that goes.
    del members["a"]
    assert rebalance(members, "c") == {"b": 6, "c": 0}
    del members["b"]
    assert rebalance(members, "c") == {"c": 6}
    assert members["c"].standing_by is None
    members["b"] = assignor("Sex", 1)
    assert rebalance(members, "b") == {"b": 0, "c": 6}


def test_one_that_was_away_does_not_take_the_partitions_back() -> None:
    old, new = assignor("Sex", 10), assignor("Rings:int", 20)
    rebalance({"old": old, "new": new}, "old")
    assert new.standing_by is not None
    # A member that froze, was removed from the group, and is back.
    rebalance({"new": new}, "new")
    assert rebalance({"new": new, "old": old}, "old") == {"new": 6, "old": 0}
    assert old.standing_by is not None


def test_the_order_and_the_spelling_of_splits_make_no_other_kind() -> None:
    assert assignor("Sex,Rings:int", 0)._said.kind == assignor('Rings : int , "Sex"', 0)._said.kind  # noqa: SLF001 - see below
    texts = (*SPLIT_BYS, "Rings:float", "x=Rings:int")
    assert len({assignor(text, 0)._said.kind for text in texts}) == len(texts)  # noqa: SLF001 - see below


@given(st.data())
def test_never_two_kinds_at_once_and_never_none(data: st.DataObject) -> None:
    members: dict[str, KindAssignor] = {}
    for number in range(data.draw(st.integers(1, 12))):
        if bool(members) and data.draw(st.booleans()):
            del members[data.draw(st.sampled_from(sorted(members)))]
        split_by = data.draw(st.sampled_from(SPLIT_BYS))
        members[f"{data.draw(st.integers(0, 9))}-{number}"] = assignor(split_by, data.draw(st.integers(0, 3)))
        counts = rebalance(members, data.draw(st.sampled_from(sorted(members))))
        having = {members[each].standing_by is None for each, count in counts.items() if count}
        kinds = {members[each]._said.kind for each, count in counts.items() if count}  # noqa: SLF001 - its own words
        assert (having, len(kinds), sum(counts.values())) == ({True}, 1, 6)
        assert all(counts[each] == 0 for each, member in members.items() if member.standing_by is not None)


def test_of_fresh_ones_the_earliest_start_counts_and_then_the_member_id() -> None:
    said = {"b": Member("x", "X", 5.0), "a": Member("y", "Y", 5.0), "c": Member("z", "Z", 6.0)}
    assert choose(said).kind == "y"
    assert choose(said | {"c": Member("z", "Z", 4.0)}).kind == "z"
