"""What follows from how the lines of files fit the rows of sources: which differ, and where."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct

from common.rows.tally import NOTHING, Tally
from ops.verify.balance import Balance
from ops.verify.ledgers import Ledgers
from ops.verify.others import Allowed, LedgerSplit, Others
from ops.verify.report import Report, ReportedFinding, shown
from ops.verify.rows.merging import ExpectedRow, FoundLine, Merged
from ops.verify.sources import Source, Streams, text_at
from ops.verify.spool import Spool


class Task(Struct, frozen=True):
    """What is compared: the sources' rows in the spool with the files; how much of each has to be there."""

    ledgers: Ledgers
    spool: Spool
    sources: Sequence[Source]
    streams: Streams
    balances: Mapping[str, Balance]
    others: Others
    is_ordered: bool
    longest: int


class FileGroup(Struct):
    """The files of one ledger and split. Their lines of no given source have to add up to the ledger's sums.

    `unread` are rows of files that are not compared line by line. `is_judged`: nothing keeps the sums from being
    compared. `first` is a line of no given source.
    """

    extra: Tally = NOTHING
    unread: int = 0
    is_judged: bool = True
    first: FoundLine | None = None


class NamedFile(NamedTuple):
    """The name of a file in findings; `path` is "" if it is not there."""

    name: str
    path: str


class Judge:
    """Reports what differs. `equal` counts rows that several sources have."""

    def __init__(self, task: Task, report: Report) -> None:
        self._task = task
        self._report = report
        self.equal = 0

    def judge(
        self, file: NamedFile, streams: Iterable[int], merged: Merged, group: FileGroup, allowed: Allowed
    ) -> None:
        """Judge the files of one category, the last of which is this one; they have these streams."""
        self.equal += merged.surplus
        missing = {stream: row for stream, row in merged.left.items() if row.offset < self._safe_bytes(stream)}
        # A row that is not there yet may have been taken for an equal one of another source.
        is_vague = merged.surplus > 0 and not all(map(self._is_whole, streams))
        if missing or (merged.has_extra and allowed.is_nothing and not is_vague):
            self._report.differs.add(self._difference(file, merged, missing))
            group.is_judged = False
        if merged.ending is not None:
            line, row = merged.ending
            text = f"{line.path}, line {line.number}: its line ending is not that of its row"
            self._report.differs.add(
                ReportedFinding("ending", text, line.path, line.number, source_line=row.line if row else 0)
            )
        group.is_judged = group.is_judged and not is_vague
        group.extra += merged.extra
        if group.first is None and merged.odd is not None:
            group.first = merged.odd.line

    def judge_group(self, ledger_split: LedgerSplit, group: FileGroup, allowed: Allowed) -> None:
        """Compare the rows of no given source with what the ledger knows of them."""
        rows, expected = group.extra.rows + group.unread, allowed.rows.rows + allowed.void
        # Of rows that were not read one by one, and of void rejections, only the number is known.
        only_number = group.unread or allowed.void or allowed.older
        is_same = allowed.has(rows) if only_number else group.extra == allowed.rows
        if is_same or not group.is_judged or self._task.ledgers.formats == {1}:
            return
        ledger, split = ledger_split
        where = f"{self._task.ledgers.name(ledger)}, {'rejected' if split is None else f'split {split}'}"
        sums = "" if rows != expected else ", with other checksums"
        text = f"{where}: {rows:,} rows are of no given source, and the ledger has {expected:,} of other sources{sums}"
        first = group.first
        fields: dict[str, Any] = {}
        if first is not None:
            text += f"; the first of them is {first.path}, line {first.number}"
            fields = {"path": first.path, "line": first.number, "found": shown(first.text)}
        self._report.differs.add(ReportedFinding("rows", text, **fields))

    def _safe_bytes(self, stream: int) -> float:
        """Up to which offset of its source the rows of a stream have to be there."""
        number, split = self._task.streams.of(stream)
        source = self._task.sources[number]
        found = self._task.balances.get(source.name)
        return source.ended_at if found is None else found.safe_bytes(split)

    def _is_whole(self, stream: int) -> bool:
        """Whether all rows of a stream have to be there."""
        number, _ = self._task.streams.of(stream)
        return self._task.sources[number].size <= self._safe_bytes(stream)

    def _difference(self, file: NamedFile, merged: Merged, missing: Mapping[int, ExpectedRow]) -> ReportedFinding:
        """The first line that is not what it has to be, and the row of a source that was next there."""
        odd, fields = merged.odd, dict[str, Any]()
        stream = next(iter(missing), None if odd is None else odd.last)
        row = None if stream is None else missing.get(stream)
        if odd is None:
            what = f"{file.name} ends after {merged.lines:,} rows"
            fields = {"path": file.path}
        else:
            found = shown(odd.line.text)
            what = f'{odd.line.path}, line {odd.line.number} is "{found}"'
            row = row if stream is None else odd.next.get(stream, row)
            fields = {"path": odd.line.path, "line": odd.line.number, "found": found}
        if stream is None or row is None:
            return ReportedFinding("row", f"{what}, which no source has there", **fields)
        number, _ = self._task.streams.of(stream)
        source = self._task.sources[number]
        expected = shown(text_at(source.path, row.offset))
        fields |= {"source": source.name, "source_line": row.line, "expected": expected}
        return ReportedFinding("row", f'{what}, where {source.name}, line {row.line} has "{expected}"', **fields)
