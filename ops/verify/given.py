"""The sources that are given: found, matched with those of the ledgers, read, and compared with the files."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from common.errors import ConfigurationError
from common.protocol.identity import NEWEST
from common.protocol.messages import Ended
from common.protocol.shares import Kind
from common.rows.reasons import Code
from ops.verify.balance import Balance
from ops.verify.checks import check_sources
from ops.verify.comparing import Comparison
from ops.verify.entries import REJECTED_KEY
from ops.verify.files import opened, read_checked
from ops.verify.judging import Task
from ops.verify.ledgers import NO_SOURCE, Ledgers
from ops.verify.lines import REJECTED, has_codes
from ops.verify.others import Others
from ops.verify.report import Finding, Report
from ops.verify.rows.records import Rules, lines_of, records_of
from ops.verify.rows.source_names import match_names
from ops.verify.settings import SourceSettings
from ops.verify.sources import Source, SourceReader
from ops.verify.spool import Spool
from services.ingest.files.finding import find_files, is_stream

# Twice as long as MAX_ROW_BYTES can be.
_LONGEST_REJECTION = 100_000_000
# How the reason begins that stands for the code "late" where there are no codes.
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


def compare_sources(
    ledgers: Ledgers, spool: Spool, files: Mapping[str, Path], settings: SourceSettings, report: Report
) -> None:
    """Compare all files with these sources."""
    found = _match(ledgers, files, report)
    balances: dict[str, Balance] = {}
    has_files: set[str] = set()
    for known, how in check_sources(ledgers, report):
        if known.source in found:
            balances[known.source] = how
            in_files = (tallies for ledger, tallies in known.tallies.items() if ledger != ledgers.rejected)
            if any(key.kind is Kind.READ and tally.rows for tallies in in_files for key, tally in tallies.items()):
                has_files.add(known.source)
    _check_splits(ledgers, settings, report)
    late = _late_offsets(ledgers, found)
    reader = SourceReader(settings, spool, max(ledgers.formats, default=NEWEST), ledgers.schemas)
    sources: list[Source] = []
    for name, path in found.items():
        ended = _latest_end(balances.get(name))
        ended_at = math.inf if ended is None else ended.size
        source = Source(name, path, ended_at, late.get(name, ()))
        try:
            is_read = reader.read(len(sources), source, has_files=name in has_files)
        except FileNotFoundError:
            text = f"{path}: it has left meanwhile: its rows are not compared"
            report.unseen.add(Finding("left", text, source=name))
            continue
        if not is_read:
            text = (
                f"{path}: nothing shows how it was read, because none of its rows is in a file: set DELIMITER and QUOTE"
            )
            report.unseen.add(Finding("dialect", text, source=name))
            continue
        sources.append(source)
        if ended is not None:
            _compare_sums(source, ended, report)
    report.count("sources_given", len(sources))
    spool.complete()
    others = Others(ledgers, {source.name for source in sources})
    for name in (NO_SOURCE, *ledgers.sources()):
        others.add(ledgers.known(name))
    # Rows may be longer in files than in sources, as JSON gives them back: with all quotes doubled.
    longest = 2 * settings.max_row_bytes
    task = Task(ledgers, spool, sources, reader.streams, balances, others, settings.order == "source", longest)
    Comparison(task, report).run()


def _match(ledgers: Ledgers, files: Mapping[str, Path], report: Report) -> dict[str, Path]:
    """The files by the names that their sources have in the ledgers; in format 1 these have none."""
    if ledgers.formats == {1}:
        return dict(files)
    names = match_names(files, ledgers.sources())
    for name, path in files.items():
        if name not in names:
            text = f"{path}: no ledger knows it: nothing of it is safe yet, or it has another name since"
            report.not_yet.add(Finding("unknown", text, source=name))
    return {names[name]: path for name, path in files.items() if name in names}


def _check_splits(ledgers: Ledgers, settings: SourceSettings, report: Report) -> None:
    for split in settings.splits:
        if split.name not in ledgers.splits:
            text = f"split {split.name}: no ledger knows it: SPLIT_BY is another one, or nothing of it is safe yet"
            report.not_yet.add(Finding("split", text))


def _latest_end(found: Balance | None) -> Ended | None:
    """The latest end of a source up to which everything has come."""
    safe = () if found is None else found.safe.values()
    return max((each.ended for each in safe), key=lambda ended: ended.number, default=None)


def _compare_sums(source: Source, ended: Ended, report: Report) -> None:
    """Compare what a source holds with what was read of it."""
    expected = ended.tally
    if ended.is_older:
        # Its first checksums were of another kind.
        expected = replace(expected, checksum=source.read.checksum)
    if (source.read, source.rejected) == (expected, ended.rejected):
        return
    there = f"{source.read.rows:,} rows and {source.rejected:,} that are none"
    read = f"{ended.tally.rows:,} and {ended.rejected:,} were read"
    text = f"{source.path} has {there} in its first {ended.size:,} bytes, and {read}"
    if source.read.rows == ended.tally.rows and source.rejected == ended.rejected:
        text = f"{source.path} has other rows in its first {ended.size:,} bytes than were read"
    report.differs.add(Finding("source", f"{text}: it has changed, or settings are others", source=source.name))


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
            for record in records_of(lines_of(read_checked(ledgers, file, *found, unreported)), rules):
                if record.code is None and record.fields[4].startswith(mark) and record.fields[0] in wanted:
                    offsets.setdefault(wanted[record.fields[0]], []).append(int(record.fields[2]))
    return {name: sorted(found) for name, found in offsets.items()}


def _has_late(ledgers: Ledgers, name: str) -> bool:
    tallies = ledgers.known(name).tallies.values()
    return any(key.code == Code.LATE for of_ledger in tallies for key in of_ledger)
