from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sink.ledger import entries as module
from services.sink.ledger.entries import Entries, Entry, size_of

_SIZE = size_of(Entry(b"01", "01.csv"))
_ROOM = 5


@pytest.fixture(autouse=True, scope="module")
def _room_for_few() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_KEPT_BYTES", _ROOM * _SIZE)
        patch.setattr(module, "MAX_CHANGED_BYTES", _ROOM * _SIZE)
        yield


def entry_of(number: int) -> Entry:
    return Entry(b"%02d" % number, f"{number:02}.csv")


@given(st.lists(st.integers(0, 20) | st.sampled_from(["begin", "end"]), max_size=200))
def test_memory_has_an_entry_s_newest_state_or_the_ledger_has_it(steps: list[int | str]) -> None:
    entries = Entries()
    truth: dict[bytes, Entry] = {}
    ledger: dict[bytes, Entry] = {}
    under_way: list[Entry] | None = None
    changed: set[bytes] = set()
    for step in steps:
        if isinstance(step, int):
            entry = entry_of(step)
            known = entries.find(entry.key) or ledger.get(entry.key) or entry
            assert known == truth.get(entry.key, entry)
            truth[entry.key] = replace(known, length=known.length + 1)
            entries.change(truth[entry.key])
            changed.add(entry.key)
        elif step == "begin" and under_way is None:
            under_way = list(entries.begin_checkpoint().open)
            assert {entry.key: entry for entry in under_way} == {key: truth[key] for key in changed}
            changed.clear()
        elif step == "end" and under_way is not None:
            ledger |= {entry.key: entry for entry in under_way}
            entries.end_checkpoint()
            under_way = None
        assert entries.dirty == bool(changed)
        assert entries.full == (len(changed) >= _ROOM)
        for key, entry in truth.items():
            assert (entries.find(key) or ledger[key]) == entry
        assert len(entries) <= len(changed) + len(under_way or ()) + _ROOM


def test_the_entries_used_last_are_kept() -> None:
    entries = Entries()
    for number in (*range(10), 3):
        entries.change(entry_of(number))
        entries.begin_checkpoint()
        entries.end_checkpoint()
    assert [number for number in range(10) if entries.find(entry_of(number).key)] == [3, 6, 7, 8, 9]


def test_long_keys_take_the_room_of_many() -> None:
    entries = Entries()
    entries.change(Entry(b"k" * 65_536, "k.csv"))
    assert entries.full
    entries.begin_checkpoint()
    entries.end_checkpoint()
    assert len(entries) == 0
