"""Whatever each partition has consumed, lost and made durable: a receipt says what is safe, and no more."""

import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from common.protocol.messages import Ended, SourceMark
from common.protocol.position import digest
from common.protocol.receipts import Receipt, Rejections, decode_receipt, encode_receipt
from common.protocol.rejections import BegunAnew, Note, Rejection, Replayed
from common.protocol.shares import EVERY_SPLIT, FileNames, Share, decode_share, encode_share
from common.rows.tally import NOTHING, Tally, tally
from services.sink.ledger.database import NEXT_OFFSET, Ledger
from services.sink.ledger.entries import Changes
from services.sink.tallies.additions import MOST_NAMED, Stretch, Tallying
from services.sink.tallies.joining import Makers, find_lack, join
from services.sink.tallies.states import Unshared

SOURCE = "/in.csv"
SPLITS = ("Sex", "Rings")
FILES = ("categorized-0", "categorized-1")
REJECTED = "rejected-0"
MAKERS = Makers((*FILES, REJECTED), REJECTED, "cluster", "folder", "1")


class Rows(Struct, frozen=True):
    """Rows for one split."""

    split: str
    rows: list[bytes]
    is_replay: bool = False


@dataclass
class World:
    """What ingest, split and replays have written: a log for each partition, and what is true at each end."""

    logs: dict[str, list[Rows | Rejection | Note]] = field(
        default_factory=lambda: {name: [] for name in MAKERS.partitions}
    )
    read: list[bytes] = field(default_factory=list)
    of_ingest: int = 0
    in_files: dict[str, list[bytes]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    rejected: dict[str, list[bytes]] = field(default_factory=lambda: {split: [] for split in SPLITS})
    ends: list[tuple[Ended, dict[str, Tally], dict[str, int]]] = field(default_factory=list)
    # The index behind each end in each log.
    behind: list[dict[str, int]] = field(default_factory=list)

    def row(self, row: bytes, places: tuple[int, int]) -> None:
        """Rows of the source, one for each split: in a file, or rejected."""
        self.read.append(row)
        for split, place in zip(SPLITS, places, strict=True):
            self.place(row, split, place)

    def place(self, row: bytes, split: str, place: int, *, is_replay: bool = False) -> None:
        """Put a row where its split says."""
        if place < len(FILES):
            self.logs[FILES[place]].append(Rows(split, [row], is_replay))
            if not is_replay:
                self.in_files[split].append(row)
        else:
            self.logs[REJECTED].append(Rejection(SOURCE, 1, 0, split, "no number", row, "number", is_replay))
            if not is_replay:
                self.rejected[split].append(row)

    def reject(self, raw: bytes) -> None:
        """Ingest rejects bytes."""
        self.of_ingest += 1
        self.logs[REJECTED].append(Rejection(SOURCE, 1, 0, EVERY_SPLIT, "few fields", raw, "fields"))

    def end(self) -> None:
        """The source ends."""
        number = len(self.ends) + 1
        ended = Ended(SOURCE, tally(self.read), self.of_ingest, 1, number, 9, "csv", SPLITS, SPLITS)
        for log in self.logs.values():
            log.append(ended)
        files = {split: tally(rows) for split, rows in self.in_files.items()}
        rejected = {split: len(rows) for split, rows in self.rejected.items()}
        self.ends.append((ended, files, rejected | {EVERY_SPLIT: self.of_ingest}))
        self.behind.append({name: len(log) for name, log in self.logs.items()})


class Partition:
    """A sink's partition: it consumes its log, makes checkpoints, dies, and shares what it has."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.ledger = Ledger(folder / name, is_rejected=name == REJECTED)
        self.ledger.commit({NEXT_OFFSET: "0"}, Changes([]))
        self.tallying = Tallying()
        self.position = self.safe = 0
        self.share: Share | None = None
        self.shared = 0

    def consume(self, record: Rows | Rejection | Note, read_ms: int = 7) -> None:
        """Take the next record."""
        self.position += 1
        if isinstance(record, Rows):
            mark = SourceMark(SOURCE, "schema", None, read_ms, record.is_replay)
            self.tallying.add_rows(Stretch(mark), record.split, f"{record.split}.csv", record.rows)
        elif self.name == REJECTED:
            self.tallying.add_rejected([record])
        elif isinstance(record, Ended):
            self.tallying.add_ends([record])

    def checkpoint(self, now: float = 1.0) -> None:
        """Make durable what is consumed, and share it."""
        unshared = self.ledger.commit({NEXT_OFFSET: str(self.position)}, Changes([]), self.tallying.take(), now)
        self.safe = self.position
        self.take_shares(unshared)

    def take_shares(self, unshared: list[Unshared]) -> None:
        """Issue the shares of these sources."""
        for each in unshared:
            if (share := each.share(self.name, "folder")) is not None:
                self.share = decode_share(encode_share(share))
                assert self.share == share
                self.shared += 1
                self.tallying.note_shared([SOURCE])

    def die(self) -> None:
        """Lose what no checkpoint has, and start again."""
        self.tallying = Tallying()
        self.position = self.safe
        self.take_shares(self.ledger.unshared())


@contextmanager
def partitions() -> Iterator[dict[str, Partition]]:
    with TemporaryDirectory() as folder, ExitStack() as opened:
        found = {name: Partition(name, Path(folder)) for name in MAKERS.partitions}
        for each in found.values():
            opened.callback(each.ledger.close)
        yield found


def receipt_of(found: dict[str, Partition], resting: Collection[str] = ()) -> Receipt | None:
    receipt = join(shares_of(found), MAKERS, resting)
    assert receipt is None or decode_receipt(encode_receipt(receipt)) == receipt
    # Up to its end nothing is lacking, and of the next something is, which is said in one line.
    number = 0 if receipt is None else receipt.number
    assert not number or find_lack(shares_of(found), MAKERS, number, resting) == ""
    assert len(find_lack(shares_of(found), MAKERS, number + 1, resting).splitlines()) == 1
    return receipt


def shares_of(found: dict[str, Partition]) -> list[Share]:
    return [each.share for each in found.values() if each.share is not None]


ROWS = st.tuples(st.sampled_from([b"M,1", b"F,2", b"M,x"]), st.tuples(st.integers(0, 2), st.integers(0, 2)))
EVENTS = st.lists(st.one_of(ROWS, st.sampled_from([b"M"]), st.none()), max_size=25)
STEPS = st.lists(st.tuples(st.sampled_from(MAKERS.partitions), st.integers(0, 9)), max_size=40)


def written(events: list[tuple[bytes, tuple[int, int]] | bytes | None]) -> World:
    world = World()
    for event in events:
        if event is None:
            world.end()
        elif isinstance(event, bytes):
            world.reject(event)
        else:
            world.row(*event)
    world.end()
    return world


def check(receipt: Receipt, world: World, found: dict[str, Partition]) -> None:
    ended, files, rejected = world.ends[receipt.number - 1]
    assert (receipt.tally, receipt.size) == (ended.tally, ended.size)
    assert receipt.rejected.rows == rejected[EVERY_SPLIT]
    for split in SPLITS:
        of_split = receipt.splits[split]
        assert (of_split.files, of_split.rejected.rows) == (files[split], rejected[split])
        assert of_split.files + of_split.rejected_tally == ended.tally
    behind = world.behind[receipt.number - 1]
    assert all(each.safe >= behind[name] for name, each in found.items())


@given(EVENTS, STEPS)
def test_no_receipt_comes_before_all_is_safe_and_the_last_one_says_all(
    events: list[tuple[bytes, tuple[int, int]] | bytes | None], steps: list[tuple[str, int]]
) -> None:
    world = written(events)
    with partitions() as found:
        for name, step in steps:
            partition = found[name]
            if step == 0:
                partition.die()
            elif step == 1:
                partition.checkpoint()
            else:
                for record in world.logs[name][partition.position : partition.position + step]:
                    partition.consume(record)
            if (receipt := receipt_of(found)) is not None:
                check(receipt, world, found)
        for name, partition in found.items():
            for record in world.logs[name][partition.position :]:
                partition.consume(record)
            partition.checkpoint()
        last = receipt_of(found)
        assert last is not None
        assert last.number == len(world.ends)
        check(last, world, found)


def consume_all(world: World, found: dict[str, Partition]) -> Receipt | None:
    for name, partition in found.items():
        for record in world.logs[name][partition.position :]:
            partition.consume(record)
        partition.checkpoint()
    return receipt_of(found)


@pytest.mark.parametrize(("count", "named", "has_more"), [(50, 100, False), (51, 100, True)])
def test_of_many_files_a_receipt_names_some_and_says_that_there_are_more(
    count: int, named: int, *, has_more: bool
) -> None:
    world = World()
    world.row(b"M,1", (0, 0))
    world.end()
    with partitions() as found:
        consume_all(world, found)
        shares = [
            replace(share, files={"Sex": FileNames(tuple(f"Sex/{share.partition}-{n:02}.csv" for n in range(count)))})
            if share.partition in FILES
            else share
            for share in shares_of(found)
        ]
    receipt = join(shares, MAKERS)
    assert receipt is not None
    of_split = receipt.splits["Sex"]
    assert (len(of_split.paths), of_split.has_more_paths) == (named, has_more)
    assert (
        list(of_split.paths)
        == sorted(name for share in shares if share.files for name in share.files["Sex"].paths)[:named]
    )


def test_of_many_files_a_share_names_a_few_and_says_that_there_are_more() -> None:
    with partitions() as found:
        partition = found[FILES[0]]
        for number in range(MOST_NAMED + 1):
            mark = SourceMark(SOURCE, "schema")
            partition.tallying.add_rows(Stretch(mark), "Sex", f"Sex/{number:02}.csv", [b"M,1"])
            if number + 1 >= MOST_NAMED:
                partition.tallying.add_ends([Ended(SOURCE, NOTHING, 0, 1, number, 9, "csv", SPLITS, SPLITS)])
                partition.checkpoint()
                assert partition.share is not None
                names = partition.share.files["Sex"]
                assert names == FileNames(tuple(f"Sex/{n:02}.csv" for n in range(MOST_NAMED)), number >= MOST_NAMED)


def test_a_replay_supersedes_a_receipt_once_its_rows_are_safe() -> None:
    world = World()
    world.row(b"M,x", (0, 2))
    world.reject(b"M")
    world.end()
    with partitions() as found:
        before = consume_all(world, found)
        assert before is not None
        assert before.splits["Rings"].rejected == Rejections({"number": 1})
        assert before.rejected == Rejections({"fields": 1})
        sent, original = tally([b"M,7"]), tally([b"M,x"])
        world.logs[REJECTED].append(Replayed(0, SOURCE, "Rings", "number", original, sent))
        for record in world.logs[REJECTED][found[REJECTED].position :]:
            found[REJECTED].consume(record)
        found[REJECTED].checkpoint()
        assert receipt_of(found) is None, "the mended row is on its way"
        world.place(b"M,7", "Rings", 1, is_replay=True)
        after = consume_all(world, found)
        assert after is not None
        assert after.splits["Rings"].files == sent
        assert after.splits["Rings"].rejected == Rejections({}, 1)
        assert after.splits["Rings"].rejected_tally == NOTHING
        assert after.splits["Rings"].replayed == 1
        assert after.splits["Sex"] == before.splits["Sex"]
        # What ingest rejected goes to every split, and one of them may reject it again.
        world.logs[REJECTED].append(Replayed(1, SOURCE, EVERY_SPLIT, "fields", tally([b"M"]), tally([b"M,y"])))
        world.place(b"M,y", "Sex", 0, is_replay=True)
        world.place(b"M,y", "Rings", 2, is_replay=True)
        last = consume_all(world, found)
        assert last is not None
        assert last.rejected == Rejections({}, 1)
        assert last.splits["Sex"].files == tally([b"M,x", b"M,y"])
        assert last.splits["Rings"].rejected == Rejections({"number": 1}, 1)
        assert last.splits["Rings"].rejected_tally == tally([b"M,y"])


def test_a_split_that_was_added_later_is_part_of_the_receipt_once_it_is_filled() -> None:
    world = World()
    world.row(b"M,1", (0, 1))
    world.end()
    with partitions() as found:
        before = consume_all(world, found)
        assert before is not None
        [first] = (record for record in world.logs[REJECTED] if isinstance(record, Ended))
        filling = replace(first, splits=("all",), split_by=("all", *SPLITS), is_filling=True)
        world.logs[FILES[1]] += [Rows("all", [b"M,1"]), filling]
        world.logs[FILES[0]].append(filling)
        assert consume_all(world, found) is None, "not all partitions are filled"
        world.logs[REJECTED].append(filling)
        after = consume_all(world, found)
        assert after is not None
        assert after.splits == {**before.splits, "all": replace(before.splits["Sex"], paths=("all.csv",))}


def consume_at(world: World, found: dict[str, Partition], now: float, took_ms: int) -> None:
    """Consume all that is there, and make it durable at this time, so long after it was read."""
    for name, partition in found.items():
        for record in world.logs[name][partition.position :]:
            partition.consume(record, round(now * 1000) - took_ms)
        partition.checkpoint(now)


@pytest.mark.parametrize("splits", [SPLITS, ("Sex",)])
def test_rows_behind_an_end_change_nothing_of_its_receipt(splits: tuple[str, ...]) -> None:
    world = World()
    world.row(b"M,1", (0, 1))
    world.row(b"F,2", (0, 1))
    world.end()
    with partitions() as found:
        consume_at(world, found, 10, 100)
        receipt = receipt_of(found)
        assert receipt is not None
        assert (receipt.safe_ms, receipt.p50_ms, receipt.p99_ms) == (10_000, 129, 129)
        shared = [each.shared for each in found.values()]
        for number in range(20):
            for split in splits:
                world.place(b"M,%d" % number, split, number % 3)
            consume_at(world, found, 3_600 + number, 10_000)
            assert [each.shared for each in found.values()] == shared
        # Its shares are asked for once more, as where the folder was another one for a while.
        for partition in found.values():
            partition.ledger.share_all()
            partition.die()
        assert [each.shared for each in found.values()] == [count + 1 for count in shared]
        assert receipt_of(found) == receipt


def test_what_is_not_shared_yet_still_is_where_rows_come_behind_it() -> None:
    world = World()
    world.end()
    with partitions() as found:
        partition = found[FILES[0]]
        partition.consume(world.logs[FILES[0]][0])
        commit = partial(partition.ledger.commit, {NEXT_OFFSET: "1"}, Changes([]))
        assert commit(partition.tallying.take(), 1.0)
        partition.consume(Rows("Sex", [b"M,1"]))
        assert not commit(partition.tallying.take(), 2.0)
        partition.die()
        assert partition.share is not None
        # And is not, once it is.
        commit(partition.tallying.take(), 3.0)
        partition.consume(Rows("Sex", [b"M,2"]))
        commit(partition.tallying.take(), 4.0)
        assert partition.ledger.unshared() == []


def accept_and_reject_one() -> World:
    """A source that has ended: one row went to both splits, and ingest rejected the other."""
    world = World()
    world.row(b"M,1", (0, 1))
    world.reject(b"M")
    world.end()
    return world


def test_a_replay_adds_to_the_times_of_an_end_and_rows_behind_it_do_not() -> None:
    world = accept_and_reject_one()
    with partitions() as found:
        consume_at(world, found, 10, 100)
        world.place(b"F,9", "Sex", 0)
        consume_at(world, found, 500, 10_000)
        world.logs[REJECTED].append(Replayed(0, SOURCE, EVERY_SPLIT, "fields", tally([b"M"]), tally([b"M,y"])))
        for split in SPLITS:
            world.place(b"M,y", split, 1, is_replay=True)
        consume_at(world, found, 1_000, 1_000)
        world.place(b"F,9", "Sex", 0)
        consume_at(world, found, 2_000, 10_000)
        for partition in found.values():
            partition.die()
        receipt = receipt_of(found)
        assert receipt is not None
        assert (receipt.number, receipt.rejected.replayed) == (1, 1)
        assert (receipt.safe_ms, receipt.p50_ms, receipt.p99_ms) == (1_000_000, 129, 1_477)


def test_the_times_of_a_filled_split_are_of_its_rows_up_to_the_end() -> None:
    world = World()
    world.row(b"M,1", (0, 0))
    world.end()
    with partitions() as found:
        consume_at(world, found, 10, 100)
        [first] = (record for record in world.logs[REJECTED] if isinstance(record, Ended))
        filling = replace(first, splits=("all",), split_by=("all", *SPLITS), is_filling=True)
        world.logs[FILES[0]] += [Rows("all", [b"M,1"])]
        consume_at(world, found, 20, 1_000)
        # Of the splits that have passed the end, others come meanwhile.
        world.logs[FILES[0]] += [Rows("Sex", [b"F,1"] * 1_000), filling, Rows("all", [b"F,1"] * 1_000)]
        world.logs[FILES[1]] += [filling]
        world.logs[REJECTED] += [filling]
        consume_at(world, found, 30, 10_000)
        receipt = receipt_of(found)
        assert receipt is not None
        assert set(receipt.splits) == {"all", *SPLITS}
        assert (receipt.safe_ms, receipt.p50_ms, receipt.p99_ms) == (30_000, 129, 1_477)


def test_the_times_of_each_of_many_ends_are_its_own() -> None:
    world = World()
    with partitions() as found:
        for number in range(1, 4):
            world.row(b"M,1", (0, 0))
            world.end()
            for name in (FILES[1], REJECTED) if number > 1 else MAKERS.partitions:
                for record in world.logs[name][found[name].position :]:
                    found[name].consume(record, 900)
                found[name].checkpoint(number)
        # The others have passed end 3 at the third second; this one passes the second and the third at once.
        partition = found[FILES[0]]
        for record in world.logs[FILES[0]][partition.position :]:
            partition.consume(record, 3_900)
        partition.checkpoint(4)
        assert partition.share is not None
        assert [(each.ended.number, sum(each.times.latencies.values())) for each in partition.share.snapshots] == [
            (2, 4),
            (3, 6),
        ]
        receipt = receipt_of(found)
        assert receipt is not None
        assert (receipt.number, receipt.safe_ms) == (3, 4_000)


def test_a_share_and_a_ledger_of_before_ends_had_times_are_read() -> None:
    world = World()
    world.row(b"M,1", (0, 0))
    world.end()
    with partitions() as found:
        consume_at(world, found, 10, 100)
        receipt = receipt_of(found)
        for partition in found.values():
            assert partition.share is not None
            # What all versions have read.
            fields = orjson.loads(encode_share(partition.share))
            assert [list(each) for each in fields["ends"]] == [["ended", "tallies"]]
            assert fields["safe_ms"] == 10_000
            with closing(sqlite3.connect(partition.folder / partition.name)) as ledger, ledger:
                ledger.execute("UPDATE ends SET ended = json_remove(ended, '$.latencies', '$.safe_ms')")
            partition.ledger.share_all()
            partition.die()
        assert receipt_of(found) == receipt


RINGS_REST = [digest("Rings")]


def test_nothing_is_waited_for_of_a_split_that_rests() -> None:
    world = accept_and_reject_one()
    with partitions() as found:
        assert consume_all(world, found) is not None
        # SPLIT_BY has lost a split; a row that ingest rejected is sent again, to the splits that are left.
        world.logs[REJECTED].append(Replayed(0, SOURCE, EVERY_SPLIT, "fields", tally([b"M"]), tally([b"M,y"])))
        world.place(b"M,y", "Sex", 0, is_replay=True)
        assert consume_all(world, found) is None
        receipt = receipt_of(found, RINGS_REST)
        assert receipt is not None
        assert (list(receipt.splits), receipt.rejected) == (["Sex"], Rejections({}, 1))


def test_a_split_that_rests_stays_in_a_receipt_as_long_as_it_has_every_row() -> None:
    world = accept_and_reject_one()
    with partitions() as found:
        before = consume_all(world, found)
        assert before is not None
        assert list(before.splits) == list(SPLITS)
        assert receipt_of(found, RINGS_REST) == before


def test_a_split_that_rests_before_it_is_filled_is_not_waited_for() -> None:
    ended = Ended(SOURCE, tally([b"M,1"]), 0, 1, 1, 9, "csv", ("Sex",), SPLITS)
    with partitions() as found:
        found[FILES[0]].consume(Rows("Sex", [b"M,1"]))
        for partition in found.values():
            partition.consume(ended)
            partition.checkpoint()
        assert receipt_of(found) is None
        receipt = receipt_of(found, RINGS_REST)
        assert receipt is not None
        assert list(receipt.splits) == ["Sex"]
        # As long as another one is filled, which may be all that SPLIT_BY has.
        assert receipt_of(found, [digest(split) for split in SPLITS]) is None


def test_an_end_of_format_1_is_no_proof() -> None:
    ended = Ended(SOURCE, tally([b"M,1"]), 0, 1, splits=("Sex",), split_by=("Sex",), is_filling=True)
    with partitions() as found:
        found[FILES[0]].consume(Rows("Sex", [b"M,1"]))
        for partition in found.values():
            partition.consume(ended)
            partition.checkpoint()
        assert join(shares_of(found), MAKERS) is None
        assert find_lack(shares_of(found), MAKERS, 0) == "it was begun in format 1, which has no receipts"


def test_very_many_ends_at_once_make_a_small_share() -> None:
    count = 2_000
    with partitions() as found:
        for number in range(1, count + 1):
            rows = [b"M,%d" % each for each in range(number)]
            found[FILES[0]].consume(Rows("Sex", rows[-1:]))
            ended = Ended(SOURCE, Tally(number), 0, 1, number, 9, "csv", ("Sex",), ("Sex",))
            for partition in found.values():
                partition.consume(ended)
        began = time.perf_counter()
        for partition in found.values():
            partition.checkpoint()
        took_s = time.perf_counter() - began
        assert all(len(encode_share(share)) < 50_000 for share in shares_of(found))
        lack = find_lack(shares_of(found), MAKERS, count)
        assert lack == f"split Sex has {count} rows safe of {count}, or others than were read"
        # It was 20 s when each end's rows were summed anew.
        assert took_s < 5


@pytest.mark.parametrize("is_replayed", [False, True])
def test_what_was_rejected_before_a_source_was_begun_anew_is_void_replayed_or_not(*, is_replayed: bool) -> None:
    world = World()
    world.reject(b"M")
    world.end()
    with partitions() as found:
        if is_replayed:
            world.logs[REJECTED].append(Replayed(0, SOURCE, EVERY_SPLIT, "fields", tally([b"M"]), tally([b"M,y"])))
            for split in SPLITS:
                world.place(b"M,y", split, 0, is_replay=True)
        assert consume_all(world, found) is not None
        world.logs[REJECTED].append(BegunAnew(SOURCE))
        world.of_ingest = 0
        world.row(b"M,1", (0, 1))
        world.end()
        receipt = consume_all(world, found)
        assert receipt is not None
        assert (receipt.number, receipt.rejected) == (2, Rejections())
        # What replays sent has a balance of its own.
        assert receipt.splits["Sex"].replayed == int(is_replayed)


def test_every_copy_of_an_end_has_to_come_before_its_rows_are_whole() -> None:
    ended = Ended(SOURCE, tally([b"M,1", b"F,2"]), 0, 2, 1, 9, "csv", SPLITS, SPLITS)
    with partitions() as found:
        for partition in found.values():
            partition.consume(ended)
        for split in SPLITS:
            found[FILES[0]].consume(Rows(split, [b"M,1", b"F,2"]))
        for partition in found.values():
            partition.checkpoint()
        assert receipt_of(found) is None
        assert find_lack(shares_of(found), MAKERS, 1) == "categorized-0 has not passed its end 1"
        for partition in found.values():
            partition.consume(ended)
            partition.checkpoint()
        assert receipt_of(found) is not None


def test_a_source_that_was_begun_in_format_1_has_no_receipt_whatever_its_sums_say() -> None:
    world = World()
    world.row(b"M,1", (0, 1))
    world.end()
    [(ended, *_)] = world.ends
    for log in world.logs.values():
        log[-1] = replace(ended, is_older=True)
    with partitions() as found:
        assert consume_all(world, found) is None
        assert find_lack(shares_of(found), MAKERS, 1) == "it was begun in format 1, which has no receipts"


@given(st.data())
def test_a_row_that_is_missing_doubled_or_changed_is_never_delivered(data: st.DataObject) -> None:
    world = World()
    for row in (b"M,1", b"F,2", b"I,3"):
        world.row(row, (0, 1))
    world.end()
    log = world.logs[FILES[data.draw(st.integers(0, 1))]]
    at = data.draw(st.integers(0, 2))
    record = log[at]
    assert isinstance(record, Rows)
    changed = data.draw(st.sampled_from([[], record.rows * 2, [b"M,9"], [b"M,"]]))
    log[at] = replace(record, rows=changed)
    with partitions() as found:
        if Counter(changed) != Counter(record.rows):
            assert consume_all(world, found) is None
            lack = f"split {record.split} has {2 + len(changed)} rows safe of 3, or others than were read"
            assert find_lack(shares_of(found), MAKERS, 1) == lack
