"""Rows as they are appended → what a checkpoint adds to each source's tallies in the ledger. Pure.

An end divides a source's rows into stretches: the first holds those that came before the first end since the last
checkpoint began. So what a source had at each end is the sum of the stretches up to it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field

from common.protocol.messages import Ended, SourceMark
from common.protocol.rejections import BegunAnew, Rejection, Replayed
from common.protocol.shares import Counted, CountKind
from common.rows.tally import NOTHING, Tally, tally

# How many files of each source and split a ledger names, beside saying that there are more.
MOST_NAMED = 16


class Stretch(Struct, frozen=True):
    """Where rows come from: a mark, and how many ends of its source came before them in the same call."""

    mark: SourceMark
    ends_before: int = 0


class Additions(Struct):
    """What has come of one source since a checkpoint began.

    `rows` has a tally for each stretch (the index of the end behind it), by what is counted; `read_ms`, likewise, the
    rows of each time of reading (ms since 1970); `files` the paths of each split. `is_begun_anew`: what the ledger has
    of it was void before that.
    """

    rows: defaultdict[Counted, dict[int, Tally]] = field(default_factory=lambda: defaultdict(dict))
    ends: list[Ended] = field(default_factory=list)
    read_ms: defaultdict[Counted, dict[int, dict[int, int]]] = field(default_factory=lambda: defaultdict(dict))
    files: defaultdict[str, dict[str, None]] = field(default_factory=lambda: defaultdict(dict))
    is_begun_anew: bool = False

    def add(self, counted: Counted, rows: Tally, stretch: int | None = None) -> None:
        """Add rows to the present stretch, or to another one."""
        stretches, at = self.rows[counted], len(self.ends) if stretch is None else stretch
        stretches[at] = stretches.get(at, NOTHING) + rows

    @property
    def supersedes_shares(self) -> bool:
        """Whether what is shared of the source changes with it: rows that were read do so only with an end."""
        return bool(self.ends) or any(key.kind is not CountKind.READ for key in self.rows)


class Tallied(Struct, frozen=True):
    """What a checkpoint adds, by source; and the sources whose shares were issued since the last one."""

    additions: Mapping[str, Additions] = field(default_factory=dict)
    shared: Collection[str] = ()


NOTHING_TALLIED = Tallied()


class Tallying:
    """What has come since the last checkpoint began, by source."""

    def __init__(self) -> None:
        self._sources: defaultdict[str, Additions] = defaultdict(Additions)
        self._shared: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._sources)

    def add_rows(self, stretch: Stretch, split: str, path: str, rows: Sequence[bytes]) -> None:
        """Count rows of one source that were appended to a file of this split; call it before `add_ends`."""
        mark, of_source = stretch.mark, self._sources[stretch.mark.source]
        counted = Counted(split, CountKind.REPLAY if mark.is_replay else CountKind.READ)
        at = len(of_source.ends) + stretch.ends_before
        of_source.add(counted, tally(rows), at)
        if mark.read_ms:
            moments = of_source.read_ms[counted].setdefault(at, {})
            moments[mark.read_ms] = moments.get(mark.read_ms, 0) + len(rows)
        if len(paths := of_source.files[split]) <= MOST_NAMED:
            paths[path] = None

    def add_ends(self, ends: Iterable[Ended]) -> None:
        """Take the ends that came with the rows."""
        for ended in ends:
            self._sources[ended.source].ends.append(ended)

    def add_rejected(self, records: Sequence[Rejection | Replayed | BegunAnew | Ended]) -> None:
        """Count rejections, once they are appended to their file, and the notes among them, in their order."""
        for record in records:
            of_source = self._sources[record.source]
            match record:
                case Rejection():
                    kind = CountKind.REPLAY if record.is_replay else CountKind.READ
                    of_source.add(Counted(record.split, kind, record.code), tally([record.raw]))
                case Replayed():
                    of_source.add(Counted(record.split, CountKind.SENT), record.sent)
                    of_source.add(Counted(record.split, CountKind.TAKEN, record.code), record.original)
                case BegunAnew():
                    kept = {key: rows for key, rows in of_source.rows.items() if not key.is_void_anew}
                    self._sources[record.source] = anew = Additions(is_begun_anew=True)
                    anew.rows.update({key: {0: sum(rows.values(), NOTHING)} for key, rows in kept.items()})
                case Ended():
                    of_source.ends.append(record)

    def note_shared(self, sources: Iterable[str]) -> None:
        """The shares of these sources are issued."""
        self._shared.update(sources)

    def take_shared(self) -> Tallied:
        """Take the sources whose shares were issued since the last call, and no rows."""
        taken, self._shared = Tallied(shared=self._shared), set()
        return taken

    def take(self) -> Tallied:
        """Take what has come since the last call."""
        taken = Tallied(self._sources, self._shared)
        self._sources, self._shared = defaultdict(Additions), set()
        return taken
