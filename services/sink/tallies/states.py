"""What a ledger has of a source, how a checkpoint changes it, and the share that it makes. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from common.protocol.messages import Ended
from common.protocol.shares import EVERY_SPLIT, Counted, CountKind, FileNames, Share, Snapshot, Tallies, Times
from common.rows.tally import NOTHING, Tally
from services.sink.tallies.additions import MOST_NAMED, Additions
from services.sink.tallies.latencies import added, counted

# How many snapshots of one source are shared at once, the latest ones. Every partition gets every end, so the ends that
# all have passed are among the latest of each: further ones come only as fast as those that are left out did.
MOST_SNAPSHOTS = 32


class Passed(Struct, frozen=True):
    """The latest end that a split has passed: how many copies of it came, and what was there of the split then."""

    ended: Ended
    copies: int
    tallies: Tallies

    @property
    def is_whole(self) -> bool:
        """Whether all rows before the end are in the tallies."""
        return self.copies >= self.ended.parts


class SourceState(Struct):
    """A source in one ledger: its tallies, the ends that its splits have passed, and what a share says besides.

    `files` has the paths of each split, one more than are named if there are more. `times` are those at each end that
    is in `passed`, by its number; `latencies` and `safe_ms` are of all that is there (ms since 1970).
    """

    tallies: dict[Counted, Tally] = field(default_factory=dict)
    passed: dict[str, Passed] = field(default_factory=dict)
    latencies: Mapping[int, int] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)
    safe_ms: int = 0
    times: dict[int, Times] = field(default_factory=dict)

    def advance(self, additions: Additions, safe_ms: int, *, is_rejected: bool) -> list[Snapshot]:
        """Add what a checkpoint made durable; return the snapshots at the ends that came.

        `is_rejected`: the ledger is that of `rejected`, where rows may be of EVERY_SPLIT.
        """
        if additions.is_begun_anew:
            self.tallies = {key: tally for key, tally in self.tallies.items() if not key.is_void_anew}
            self.passed, self.times = {}, {}
        snapshots = deque[Snapshot](maxlen=MOST_SNAPSHOTS)
        for number, ended in enumerate(additions.ends):
            self._add(additions, number, safe_ms)
            splits = (*ended.splits, EVERY_SPLIT) if is_rejected and not ended.is_filling else ended.splits
            for split in splits:
                self._pass(split, ended)
            self._note_times(ended.number, safe_ms)
            snapshots += self._at({split: self.passed[split] for split in splits if self.passed[split].is_whole})
        self._add(additions, len(additions.ends), safe_ms)
        self._note_files(additions)
        self.safe_ms = safe_ms
        return list(snapshots)

    def _add(self, additions: Additions, stretch: int, safe_ms: int) -> None:
        """Add the rows of a stretch."""
        for key, stretches in additions.rows.items():
            self.tallies[key] = self.tallies.get(key, NOTHING) + stretches.get(stretch, NOTHING)
            if stretch not in stretches:
                continue
            latencies = counted(additions.read_ms.get(key, {}).get(stretch, {}), safe_ms)
            self.latencies = added(self.latencies, latencies)
            for number, times in self.times.items():
                if not self._is_behind(key, number):
                    self.times[number] = Times(added(times.latencies, latencies), safe_ms)

    def _is_behind(self, key: Counted, number: int) -> bool:
        """Whether rows that come now were read behind this end: their split has passed it. Replays are behind none."""
        passed = self.passed.get(key.split)
        return key.kind is CountKind.READ and passed is not None and passed.is_whole and passed.ended.number >= number

    def _note_times(self, number: int, safe_ms: int) -> None:
        """Take note of when an end came; to one that a split has passed before, `_add` has added what came since."""
        known = self.times.get(number)
        self.times[number] = Times(self.latencies if known is None else known.latencies, safe_ms)
        kept = {each.ended.number for each in self.passed.values()}
        self.times = {each: times for each, times in self.times.items() if each in kept}

    def _pass(self, split: str, ended: Ended) -> None:
        """Take note of one more copy of an end; one that another has overtaken is left out."""
        known = self.passed.get(split)
        if known is not None and known.ended.number > ended.number:
            return
        copies = 1 if known is None or known.ended.number < ended.number else known.copies + 1
        keys = {key for key in self.tallies if key.split == split and key.kind is CountKind.READ}
        at_end = {key: self.tallies[key] for key in sorted(keys)}
        self.passed[split] = Passed(ended, copies, at_end or {Counted(split): NOTHING})

    def _note_files(self, additions: Additions) -> None:
        for split, paths in additions.files.items():
            known = self.files.get(split, ())
            self.files[split] = list(dict.fromkeys((*known, *paths)))[: MOST_NAMED + 1]

    def at_ends(self) -> Iterator[Snapshot]:
        """The ends that splits have passed, each once; one that a split has passed later names it as well."""
        return self._at(self.passed)

    def _at(self, passed: Mapping[str, Passed]) -> Iterator[Snapshot]:
        """What splits have passed, those at the same end as one snapshot."""
        for number in sorted({each.ended.number for each in passed.values()}):
            of_number = {split: each for split, each in passed.items() if each.ended.number == number}
            tallies = {key: tally for each in of_number.values() for key, tally in each.tallies.items()}
            [first, *_] = of_number.values()
            split_by = tuple(dict.fromkeys(split for each in of_number.values() for split in each.ended.split_by))
            ended = replace(first.ended, splits=tuple(of_number), split_by=split_by)
            yield Snapshot(ended, tallies, self.times[number])

    def share(self, source: str, taken: Iterable[Snapshot], partition: str, folder: str, offset: int) -> Share | None:
        """The source's share, None while it has not ended. `taken` are snapshots that the state does not keep."""
        snapshots: dict[int, Snapshot] = {}
        whole = {split: passed for split, passed in self.passed.items() if passed.is_whole}
        for each in (*taken, *self._at(whole)):
            known = snapshots.get(each.ended.number)
            snapshots[each.ended.number] = each if known is None else known.with_splits(each)
        if not snapshots:
            return None
        return Share(
            source,
            partition,
            folder,
            offset,
            tuple(snapshots.values()),
            {key: tally for key, tally in self.tallies.items() if key.kind is not CountKind.READ},
            {split: _named(paths) for split, paths in self.files.items()},
        )


class Unshared(Struct, frozen=True):
    """A source that has ended, whose share is to be issued: its state before `offset`, and snapshots beside it."""

    source: str
    state: SourceState
    offset: int
    snapshots: tuple[Snapshot, ...] = ()

    def after(self, earlier: "Unshared | None") -> "Unshared":
        """It, with the snapshots of an earlier one that was not shared."""
        if earlier is None:
            return self
        return replace(self, snapshots=(*earlier.snapshots, *self.snapshots)[-MOST_SNAPSHOTS:])

    def share(self, partition: str, folder: str) -> Share | None:
        """The share, None while no end is whole."""
        return self.state.share(self.source, self.snapshots, partition, folder, self.offset)


def _named(paths: Sequence[str]) -> FileNames:
    return FileNames(tuple(paths[:MOST_NAMED]), len(paths) > MOST_NAMED)
