"""The sources that are given: found, matched with those of the ledgers, read, and compared with the files."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from msgspec.structs import replace

from common.errors import ConfigurationError
from common.protocol.identity import NEWEST
from common.protocol.messages import Ended
from common.protocol.shares import CountKind
from common.rows.reasons import Code
from ops.verify.balance import Balance
from ops.verify.checks import check_sources
from ops.verify.comparing import Comparison
from ops.verify.entries import REJECTED_KEY
from ops.verify.files import opened, read_checked
from ops.verify.judging import Task
from ops.verify.ledgers import NO_SOURCE, Ledgers
from ops.verify.lines import REJECTED, has_codes
from ops.verify.matching import left, match_files, unsure
from ops.verify.others import Others
from ops.verify.report import Report, ReportedFinding
from ops.verify.rows.records import Rules, lines_of, records_of
from ops.verify.settings import SourceSettings
from ops.verify.sources import Source, SourceReader
from ops.verify.spool import Spool
from services.ingest.files.finding import find_files, is_stream

# Twice as long as MAX_ROW_BYTES can be.
_LONGEST_REJECTION = 100_000_000
# The beginning of the reason that means the code "late" where there are no codes.
_LATE_REASON = b"the rest of a row that was taken as ended"


def find_given(given: Sequence[str]) -> dict[str, Path]:
    """The files that are given, by the names that ingest would give them. ConfigurationError if there is none."""
    files: dict[str, Path] = {}
    for path in given:
        if is_stream(path):
            raise ConfigurationError(f"--source {path} can be read only once: name a file")
        try:
            files |= find_files(path).files
        except ConfigurationError as error:
            raise ConfigurationError(str(error).replace("INPUT", "--source", 1)) from error
    if not files:
        raise ConfigurationError(f"--source {' '.join(given)}: there is no CSV file")
    return files


class _Reading:
    """Reads sources into a spool, one after the other; `sources` are those that are read."""

    def __init__(self, ledgers: Ledgers, spool: Spool, settings: SourceSettings, report: Report) -> None:
        self._settings = settings
        self._version, self._schemas = max(ledgers.formats, default=NEWEST), ledgers.schemas
        self._report = report
        self._reader = self._reader_into(spool)
        self.streams = self._reader.streams
        self.sources: list[Source] = []

    def _reader_into(self, spool: Spool) -> SourceReader:
        return SourceReader(self._settings, spool, self._version, self._schemas)

    def is_it(self, source: Source, latest: Ended, *, has_files: bool) -> bool:
        """Whether the file has the rows that were read of this source; it is read once more for that."""
        tried = replace(source, ended_at=latest.size)
        with closing(Spool()) as spool:
            try:
                # The comparison reports a file whose dialect nothing shows, and leaves it out.
                return not self._reader_into(spool).read(0, tried, has_files=has_files) or _has_sums(tried, latest)
            except FileNotFoundError:
                # The comparison reports a file that has left.
                return True
            except ConfigurationError:
                return False

    def read(self, source: Source, ended: Ended | None, latest: Ended | None, *, has_files: bool) -> None:
        """Read a source, whose rows are safe up to `ended`, and were read up to `latest`."""
        try:
            is_read = self._reader.read(len(self.sources), source, has_files=has_files)
        except FileNotFoundError:
            self._report.unseen.add(left(source.path))
            return
        if not is_read:
            why = "nothing shows how it was read, because none of its rows is in a file: set DELIMITER and QUOTE"
            self._report.unseen.add(ReportedFinding("dialect", f"{source.path}: {why}", source=source.name))
            return
        self.sources.append(source)
        if ended is not None:
            _compare_sums(source, ended, self._report)
        if latest is not None and source.size > latest.size:
            text = f"{source.path} has {source.size:,} bytes, and {latest.size:,} were read up to its latest end"
            self._report.not_yet.add(ReportedFinding("grown", text, source=source.name))


def compare_sources(
    ledgers: Ledgers, spool: Spool, files: Mapping[str, Path], settings: SourceSettings, report: Report
) -> None:
    """Compare all files with these sources."""
    found = match_files(ledgers, files, report)
    balances: dict[str, Balance] = {}
    has_files: set[str] = set()
    for known, how in check_sources(ledgers, report):
        if known.source in found:
            balances[known.source] = how
            in_files = (tallies for ledger, tallies in known.tallies.items() if ledger != ledgers.rejected)
            if any(key.kind is CountKind.READ and tally.rows for tallies in in_files for key, tally in tallies.items()):
                has_files.add(known.source)
    _check_splits(ledgers, settings, report)
    late = _late_offsets(ledgers, found)
    reading = _Reading(ledgers, spool, settings, report)
    for name, (path, is_sure) in found.items():
        standing = balances.get(name)
        ended = _latest_end(standing)
        source = Source(name, path, math.inf if ended is None else ended.size, late.get(name, ()))
        latest = None if standing is None else standing.ended
        if is_sure or latest is None or reading.is_it(source, latest, has_files=name in has_files):
            reading.read(source, ended, latest, has_files=name in has_files)
        else:
            report.unseen.add(unsure(path))
    sources = reading.sources
    report.count("sources_given", len(sources))
    spool.complete()
    others = Others(ledgers, {source.name for source in sources})
    for name in (NO_SOURCE, *ledgers.sources()):
        others.add(ledgers.known(name))
    # Rows may be longer in files than in sources, as JSON gives them back: with all quotes doubled.
    longest = 2 * settings.max_row_bytes
    task = Task(ledgers, spool, sources, reading.streams, balances, others, settings.order == "source", longest)
    Comparison(task, report).run()


def _check_splits(ledgers: Ledgers, settings: SourceSettings, report: Report) -> None:
    for split in settings.splits:
        if split.name not in ledgers.splits:
            text = f"split {split.name}: no ledger knows it: SPLIT_BY is another one, or nothing of it is safe yet"
            report.not_yet.add(ReportedFinding("split", text))


def _latest_end(found: Balance | None) -> Ended | None:
    """The latest end of a source up to which everything has come."""
    safe = () if found is None else found.safe.values()
    return max((each.ended for each in safe), key=lambda ended: ended.number, default=None)


def _has_sums(source: Source, ended: Ended) -> bool:
    """Whether a source holds what was read of it up to this end."""
    expected = ended.tally
    if ended.is_older:
        # Its first checksums were of another kind.
        expected = replace(expected, checksum=source.read.checksum)
    return (source.read, source.rejected) == (expected, ended.rejected)


def _compare_sums(source: Source, ended: Ended, report: Report) -> None:
    """Compare what a source holds with what was read of it."""
    if _has_sums(source, ended):
        return
    there = f"{source.read.rows:,} rows and {source.rejected:,} that are none"
    read = f"{ended.tally.rows:,} and {ended.rejected:,} were read"
    text = f"{source.path} has {there} in its first {ended.size:,} bytes, and {read}"
    if source.read.rows == ended.tally.rows and source.rejected == ended.rejected:
        text = f"{source.path} has other rows in its first {ended.size:,} bytes than were read"
    report.differs.add(ReportedFinding("source", f"{text}: it has changed, or settings are others", source=source.name))


def _late_offsets(ledgers: Ledgers, names: Iterable[str]) -> dict[str, list[int]]:
    """By source, where rows were taken as ended before their rest came."""
    # In format 1 rejections had no codes, and no ledger has counted them by source.
    codes = has_codes(ledgers)
    width, mark = (len(REJECTED.columns), b"late") if codes else (len(REJECTED.columns) - 1, _LATE_REASON)
    wanted = {name.encode(): name for name in names if not codes or _has_late(ledgers, name)}
    offsets: dict[str, list[int]] = {}
    # What is wrong with the file is reported when it is compared.
    unreported = Report()
    for file in ledgers.parts(REJECTED_KEY) if wanted else ():
        with opened(ledgers, file, unreported) as found:
            if found is None:
                continue
            rules = Rules(b",", b'"', width, _LONGEST_REJECTION)
            chunks = read_checked(ledgers, file, *found, unreported)
            for record in records_of(lines_of(chunks, longest=_LONGEST_REJECTION), rules):
                if record.code is None and record.fields[4].startswith(mark) and record.fields[0] in wanted:
                    offsets.setdefault(wanted[record.fields[0]], []).append(int(record.fields[2]))
    return {name: sorted(found) for name, found in offsets.items()}


def _has_late(ledgers: Ledgers, name: str) -> bool:
    tallies = ledgers.known(name).tallies.values()
    return any(key.code == Code.LATE for of_ledger in tallies for key in of_ledger)
