"""Comparing each file with the rows that its sources have for it.

The parts of a category are compared as one file, in their order. Lines that are of no given source have to be rows of
other sources, or sent again by a replay: what they add up to is compared with the ledgers' tallies of those.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from heapq import merge as merge_sorted
from itertools import groupby

from common.protocol.category_keys import parse_file_key, row_key
from common.rows.schema import Schema
from ops.verify.checks import PathChecker
from ops.verify.entries import REJECTED_KEY, File
from ops.verify.judging import FileGroup, Judge, NamedFile, Task
from ops.verify.lines import REJECTED, Lines, has_codes
from ops.verify.others import Allowed, LedgerSplit
from ops.verify.report import Report, ReportedFinding
from ops.verify.rows.merging import ExpectedRow, Merged, merge, merge_unordered

# So many rows of one category are compared where rows have no order.
_MOST_UNORDERED = 1_000_000


class Comparison:
    """Compares all files, and reports what differs."""

    def __init__(self, task: Task, report: Report) -> None:
        self._task = task
        self._report = report
        self._lines = Lines(task.ledgers, task.longest, report)
        self._paths = PathChecker(task.ledgers, report)
        self._judge = Judge(task, report)
        self._schemas = {source.schema.id: source.schema for source in task.sources if source.schema is not None}
        self._groups: dict[LedgerSplit, FileGroup] = {}
        self._holes = self._unread = 0
        self._has_codes = has_codes(task.ledgers)

    def run(self) -> None:
        """Compare every category that has files or has to have some, and then what the others add up to."""
        keys = merge_sorted(self._task.ledgers.keys(), self._task.spool.keys())
        for key, _ in groupby(keys):
            parts = self._task.ledgers.parts(key)
            for file in parts:
                self._paths.check(file)
            schema_id, split, _ = (None, None, None) if key == REJECTED_KEY else parse_file_key(key)
            schema = REJECTED if schema_id is None else self._schemas.get(schema_id)
            ledger_split = (parts[0].ledger, split) if parts else None
            group = FileGroup() if ledger_split is None else self._groups.setdefault(ledger_split, FileGroup())
            if schema is not None and self._is_compared(split):
                self._compare(key, parts, schema, group, ledger_split)
            else:
                group.unread += sum(file.rows for file in parts)
                self._unread += len(parts)
                for _ in self._lines.read(parts, None):
                    pass
        for ledger_split, group in self._groups.items():
            if self._is_compared(ledger_split[1]):
                self._judge.judge_group(ledger_split, group, self._task.others.allowed(ledger_split))
        self._report_unseen()

    def _is_compared(self, split: str | None) -> bool:
        # Without tallies nothing says which rejections are void.
        if split is None:
            return self._task.ledgers.formats != {1} and self._has_codes
        return split in self._task.streams.splits

    def _compare(
        self, key: bytes, parts: Sequence[File], schema: Schema, group: FileGroup, ledger_split: LedgerSplit | None
    ) -> None:
        spool = self._task.spool
        streams = spool.streams(key)
        numbers = list(streams)
        allowed = Allowed() if ledger_split is None else self._task.others.allowed(ledger_split)
        # With a single source, the rows of a part that is gone are known.
        is_single = len(streams) == 1 and allowed.is_nothing and self._task.is_ordered
        lines = self._lines.read(parts, schema, partial(self._rows_of, key, *numbers) if is_single else None)
        merged: Merged | None = None
        if self._task.is_ordered:
            merged = merge(lines, streams, schema.dialect.eol)
        elif spool.count(key) <= _MOST_UNORDERED:
            merged = merge_unordered(lines, partial(spool.streams, key), schema.dialect.eol)
        else:
            for _ in lines:
                pass
        if merged is None or self._lines.has_hole:
            self._holes += 1
            group.is_judged = False
        else:
            path = parts[-1].name if parts else ""
            named = NamedFile(path or f"the category {_category(key)}, which has no file,", path)
            self._judge.judge(named, numbers, merged, group, allowed)

    def _rows_of(self, key: bytes, stream: int) -> Iterator[ExpectedRow]:
        return self._task.spool.streams(key)[stream]

    def _report_unseen(self) -> None:
        self._task.others.report(self._report)
        absent = sorted(self._task.ledgers.splits - set(self._task.streams.splits))
        unread = "files hold no row of a given source: only their checksums are compared"
        holes = "categories have files that are gone, or too many rows without order: their rows are not compared"
        codes = "rejected.csv was begun in format 1, without codes: only its checksum is compared"
        equal = "rows are equal in several sources: which of them stands where is not seen"
        for is_so, what, text in (
            (absent, "splits", f"SPLIT_BY lacks {', '.join(absent)}: of their files only checksums are compared"),
            (self._unread, "files", f"{self._unread:,} {unread}"),
            (not self._has_codes, "codes", codes),
            (self._holes, "gone", f"{self._holes:,} {holes}"),
            (self._judge.equal, "equal", f"{self._judge.equal:,} {equal}"),
            (not self._task.is_ordered, "order", "with ORDER=none rows have no order that could be compared"),
        ):
            if is_so:
                self._report.unseen.add(ReportedFinding(what, text))


def _category(key: bytes) -> str:
    """The name of a category in a finding."""
    if key == REJECTED_KEY:
        return "rejected"
    _, split, category = parse_file_key(key)
    return row_key(split, category).decode()
