from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.sink.ledger.entries import Entry
from services.sink.memory import CategoryState, Memory, MemoryLimits, estimate_bytes
from services.sink.rendering import rejected_layout

_SIZE = estimate_bytes(Entry(b"01", "01.csv"))
_ROOM = 5
_FEW = MemoryLimits(_ROOM * _SIZE, _ROOM * _SIZE)


def entry_of(number: int) -> Entry:
    return Entry(b"%02d" % number, f"{number:02}.csv")


def state_of(entry: Entry) -> CategoryState:
    return CategoryState(entry, rejected_layout())


def found(memory: Memory, key: bytes) -> Entry | None:
    state = memory.find(key)
    return None if state is None else state.entry


@given(st.lists(st.integers(0, 20) | st.sampled_from(["begin", "end"]), max_size=200))
def test_memory_has_an_entry_s_newest_state_or_the_ledger_has_it(steps: list[int | str]) -> None:
    memory = Memory(_FEW)
    truth: dict[bytes, Entry] = {}
    ledger: dict[bytes, Entry] = {}
    under_way: list[Entry] | None = None
    changed: set[bytes] = set()
    for step in steps:
        if isinstance(step, int):
            entry = entry_of(step)
            known = found(memory, entry.key) or ledger.get(entry.key) or entry
            assert known == truth.get(entry.key, entry)
            truth[entry.key] = replace(known, length=known.length + 1)
            memory.change(state_of(truth[entry.key]))
            changed.add(entry.key)
        elif step == "begin" and under_way is None:
            under_way = list(memory.begin_checkpoint().open)
            assert {entry.key: entry for entry in under_way} == {key: truth[key] for key in changed}
            changed.clear()
        elif step == "end" and under_way is not None:
            ledger |= {entry.key: entry for entry in under_way}
            memory.end_checkpoint()
            under_way = None
        assert memory.dirty == bool(changed)
        assert memory.full == (len(changed) >= _ROOM)
        for key, entry in truth.items():
            assert (found(memory, key) or ledger[key]) == entry
        assert len(memory) <= len(changed) + len(under_way or ()) + _ROOM


def test_the_entries_used_last_are_kept() -> None:
    memory = Memory(_FEW)
    for number in (*range(10), 3):
        memory.change(state_of(entry_of(number)))
        memory.begin_checkpoint()
        memory.end_checkpoint()
    assert [number for number in range(10) if memory.find(entry_of(number).key)] == [3, 6, 7, 8, 9]


def test_long_keys_take_the_room_of_many() -> None:
    memory = Memory(_FEW)
    memory.change(state_of(Entry(b"k" * 65_536, "k.csv")))
    assert memory.full
    memory.begin_checkpoint()
    memory.end_checkpoint()
    assert len(memory) == 0
