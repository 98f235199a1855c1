"""What files hold beside the rows of the sources that are given, by the ledgers' tallies."""

from collections.abc import Collection

from msgspec import Struct

from common.protocol.shares import CountKind
from common.rows.tally import NOTHING, Tally
from ops.verify.balance import Known
from ops.verify.checks import IN_FILES
from ops.verify.ledgers import Ledgers
from ops.verify.report import Report, ReportedFinding

# A ledger and a split; None for that of rejected rows, where all splits are together.
LedgerSplit = tuple[int, str | None]
_NAMED = 3


class Allowed(Struct, frozen=True):
    """Rows of other sources, and those that were sent again; `void` is how many rejections do not count any more.

    `older` is how many rows were written in format 1: they may be of the given sources, or of others.
    """

    rows: Tally = NOTHING
    void: int = 0
    older: int = 0

    def has(self, rows: int) -> bool:
        """Whether so many rows of no given source may be there."""
        known = self.rows.rows + self.void
        return known <= rows <= known + self.older

    @property
    def is_nothing(self) -> bool:
        """Whether every line has to be a row of a given source."""
        return self == Allowed()


class Others:
    """What is allowed in the files of each ledger and split beside the rows of the sources `given`."""

    def __init__(self, ledgers: Ledgers, given: Collection[str]) -> None:
        self._rejected = ledgers.rejected
        self._given = given
        self._rows = {(ledger, split): rows for ledger, split, rows in ledgers.rows_of_files()}
        self._tallied = dict.fromkeys(self._rows, 0)
        self._others = dict.fromkeys(self._rows, NOTHING)
        self._older = dict.fromkeys(self._rows, 0)
        self._sources: list[str] = []
        self._count = self._shared = self._replayed = 0
        self._has_tallies = ledgers.formats != {1}

    def add(self, known: Known) -> None:
        """Take what the ledgers have of one more source."""
        is_given = known.source in self._given
        shared = self._shared
        for ledger, tallies in known.tallies.items():
            for counted, tally in tallies.items():
                ledger_split = ledger, None if ledger == self._rejected else counted.split
                if ledger_split not in self._rows or counted.kind not in IN_FILES:
                    continue
                self._tallied[ledger_split] += tally.rows
                if counted.kind is CountKind.OLDER:
                    self._older[ledger_split] += tally.rows
                    continue
                if counted.kind is CountKind.REPLAY:
                    self._replayed += tally.rows
                elif not is_given:
                    self._shared += tally.rows
                else:
                    continue
                self._others[ledger_split] += tally
        if self._shared > shared:
            self._count += 1
            self._sources += [known.source or "forgotten ones"] if len(self._sources) < _NAMED else []

    def allowed(self, ledger_split: LedgerSplit) -> Allowed:
        """What is allowed there."""
        if not self._has_tallies or ledger_split not in self._rows:
            return Allowed()
        # Of a source that was begun anew.
        void = max(0, self._rows[ledger_split] - self._tallied[ledger_split]) if ledger_split[1] is None else 0
        return Allowed(self._others[ledger_split], void, self._older[ledger_split])

    def report(self, report: Report) -> None:
        """Say what cannot be seen."""
        if self._shared:
            more = f" and {self._count - len(self._sources):,} more" if self._count > len(self._sources) else ""
            text = (
                f"{self._shared:,} rows are of sources that were not given ({', '.join(self._sources)}{more}): that "
                "they add up is seen, not whether each is in the right file, in its order"
            )
            report.unseen.add(ReportedFinding("sources", text))
        if older := sum(self._older.values()):
            text = f"{older:,} rows were written in format 1: those that stand in no given source are not compared"
            report.unseen.add(ReportedFinding("older", text))
        if self._replayed:
            text = f"{self._replayed:,} rows were sent again, and stand in no source: that they add up is seen, no more"
            report.unseen.add(ReportedFinding("replays", text))
