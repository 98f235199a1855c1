"""What an output folder holds, read once: its ledgers, receipts and `_SUCCESS`. Nothing in it is changed."""

import heapq
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import replace

from common.errors import ServiceError
from common.protocol.category_keys import parse_file_key
from common.protocol.output_folder import LEDGERS, SUCCESS
from common.protocol.receipts import decode_receipt
from ops.report.contents import Categories, CategoryLine, Contents, Origins, SourceLine, Success
from ops.report.rejected_rows import RejectedRow, first_rejected
from ops.report.sums import read_of, split_up, sum_latencies, sum_read, sum_rejected
from ops.report.verdict import Marks, judge
from ops.verify.balance import Balance, Known, Standing
from ops.verify.checks import check_rows, check_sources
from ops.verify.entries import REJECTED_KEY, File
from ops.verify.files import check_length
from ops.verify.ledgers import NO_SOURCE, Ledgers
from ops.verify.receipts import check_receipts
from ops.verify.report import Report, ReportedFinding
from ops.view.gathering import has_older_rows, named_balance, rejected_by_reason
from services.sink.disk.folder import read_folder_id
from services.sink.folder_proofs.seal import SealState, seal_state_of
from services.sink.ledger.inventory import facts_of
from services.sink.paths.receipts import receipt_path
from services.sink.tallies.latencies import quantile

# How many sources, and how many categories, a report lists unless it is to list all.
MOST_LISTED = 100
# How many files of each category.
MOST_FILES = 5
_UNREAD = "what the files hold was not read for this: nacre verify compares it"


def gather(root: Path, *, lists_all: bool) -> Contents:
    """Read the folder. Raises ServiceError if it is no output folder, or a ledger cannot be read."""
    # Before the ledgers are copied: a run that goes on meanwhile then shows as one that is not complete.
    success = _read_success(root)
    facts, seals = _read_marks(root)
    with closing(Ledgers(root)) as ledgers:
        report = Report()
        sources, read = _check(ledgers, report)
        listed = sources if lists_all else heapq.nsmallest(MOST_LISTED, sources, key=_importance)
        lines = [_with_receipt(root, line) for line in sorted(listed, key=_importance)]
        safe = split_up(ledgers.sums(), ledgers.rejected)
        splits = named_balance(safe, read)
        latencies = sum_latencies(ledgers.latencies())
        refused = next((file for file in ledgers.parts(REJECTED_KEY) if file.length), None)
        return Contents(
            root=root,
            verdict=judge(report, Marks(frozenset(ledgers.formats), seals, success is not None)),
            may_grow=any(seal is not SealState.SEALED for seal in seals),
            success=success,
            origins=_origins(root, ledgers, facts, success, lines),
            sources=lines,
            source_count=len(sources),
            delivered_count=report.counts.get("sources_delivered", 0),
            receipt_count=report.counts.get("receipts", 0),
            rows_read=max((sum(each.rows or 0 for each in sources), *(each.rows for each in splits))),
            splits=splits,
            has_older_rows=1 in ledgers.formats or has_older_rows(safe),
            categories=_list_categories(ledgers, lists_all=lists_all),
            rejected=sum_rejected(safe.of_rejected),
            rejected_in_file=refused.rows if refused else 0,
            rejected_rows=_first_rejected(root, refused),
            latencies=latencies,
            p50_ms=quantile(latencies, 0.5),
            p99_ms=quantile(latencies, 0.99),
            safe_times=list(ledgers.safe_times()),
        )


def _check(ledgers: Ledgers, report: Report) -> tuple[list[SourceLine], Mapping[str, int]]:
    """Check what `nacre verify` checks without reading files; all sources, and the rows that were read by split."""
    for file in ledgers.files():
        check_length(ledgers, file, report)
    if unsafe := report.counts.get("bytes_not_safe_yet"):
        report.not_yet.add(ReportedFinding("bytes", f"{unsafe:,} bytes in files are not safe yet"))
    check_rows(ledgers, report)
    sources: list[SourceLine] = []
    read: list[Mapping[str, int]] = []
    for known, found in check_sources(ledgers, report):
        sources.append(_line_of(known, found, ledgers.rejected))
        read.append(read_of(known, found))
    check_receipts(ledgers, report)
    report.unseen.add(ReportedFinding("content", _UNREAD))
    return sources, sum_read(read, ledgers.known(NO_SOURCE))


def _line_of(known: Known, found: Balance, rejected: int | None) -> SourceLine:
    rows = None if found.ended is None else found.ended.tally.rows
    refused = {} if rejected is None else known.tallies.get(rejected, {})
    standing = rejected_by_reason({counted: tally.rows for counted, tally in refused.items()})
    return SourceLine(found.source, found.standing, found.reason, rows, sum(standing.values()), found.latest_ms)


def _importance(line: SourceLine) -> tuple[bool, int, str]:
    """What is not delivered comes first, then the largest."""
    return line.standing is Standing.DELIVERED, -(line.rows or 0), line.source


def _with_receipt(root: Path, line: SourceLine) -> SourceLine:
    try:
        receipt = decode_receipt((root / receipt_path(line.source)).read_bytes())
    except (OSError, ValueError):
        # What is wrong with it is among the findings.
        return line
    return replace(line, receipt=receipt)


def _list_categories(ledgers: Ledgers, *, lists_all: bool) -> Categories:
    found = Categories()
    for keys, rows, size, files in ledgers.categories():
        found.count += 1
        found.rows += rows
        found.size += size
        found.files += files
        if lists_all or found.count <= MOST_LISTED:
            _, split, category = parse_file_key(keys[0])
            parts = [file for key in keys for file in ledgers.parts(key) if file.length]
            names = tuple(file.name for file in (parts if lists_all else parts[:MOST_FILES]))
            found.lines.append(CategoryLine(split, category, rows, size, files, names))
    return found


def _first_rejected(root: Path, refused: File | None) -> Sequence[RejectedRow]:
    if refused is None:
        return ()
    try:
        return first_rejected(root / refused.name, refused.length)
    except OSError:
        # That it is not there, or cannot be read, is among the findings.
        return ()


def _read_marks(root: Path) -> tuple[Mapping[str, Mapping[str, str]], Sequence[SealState]]:
    """The facts of each ledger, by its name, and how each partition is filled."""
    facts: dict[str, Mapping[str, str]] = {}
    seals: list[SealState] = []
    for path in sorted(root.glob(LEDGERS)):
        try:
            facts[path.name] = facts_of(path)
            seals.append(seal_state_of(path))
        except sqlite3.Error as error:
            raise ServiceError(f"ledger {path} cannot be read: {error}") from error
    return facts, seals


def _read_success(root: Path) -> Success | None:
    try:
        return msgspec.json.decode((root / SUCCESS).read_bytes(), type=Success)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise ServiceError(f"{root / SUCCESS} is not what sink writes: {error}") from error


def _origins(
    root: Path,
    ledgers: Ledgers,
    facts: Mapping[str, Mapping[str, str]],
    success: Success | None,
    lines: Iterable[SourceLine],
) -> Origins:
    receipts = [line.receipt for line in lines if line.receipt is not None]
    folders = {read_folder_id(root), *(each.folder for each in receipts)}
    versions = {each.nacre for each in receipts}
    if success is not None:
        folders.add(success.folder)
        versions.add(success.nacre)
    clusters = {each.get("cluster", "") for each in facts.values()} | {each.cluster for each in receipts}
    return Origins(
        formats=sorted(ledgers.formats),
        clusters=sorted(clusters - {""}),
        folders=sorted(folders - {""}),
        versions=sorted(versions - {""}),
        topics={name: each["topic_id"] for name, each in facts.items() if each.get("topic_id")},
    )
