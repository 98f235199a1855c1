"""The receipts of an output folder, compared with its ledgers."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from common.protocol.output_folder import RECEIPTS
from common.protocol.receipts import Receipt, Rejections, decode_receipt
from common.protocol.shares import EVERY_SPLIT, CountKind, total
from ops.verify.balance import Balance, Known, Safe, Standing, balance
from ops.verify.ledgers import Ledgers
from ops.verify.report import Report, ReportedFinding
from services.sink.paths.receipts import receipt_path


def balance_of(ledgers: Ledgers, known: Known) -> Balance:
    """How a source stands by the ledgers, and by its receipt if something of it is under way."""
    found = balance(known, ledgers.numbers, ledgers.rejected)
    if found.standing is not Standing.UNDER_WAY or found.ended is None:
        return found
    receipt = _read(ledgers.root / receipt_path(known.source))
    if not isinstance(receipt, Receipt) or receipt.source != known.source:
        return found
    return balance(known, ledgers.numbers, ledgers.rejected, receipt)


def check_receipts(ledgers: Ledgers, report: Report) -> None:
    """Compare each receipt with what the ledgers have at the end that it speaks of."""
    doubtful: list[Path] = []
    proven: set[str] = set()
    for path in sorted((ledgers.root / RECEIPTS).rglob("*.json")):
        found = _read(path)
        if isinstance(found, Receipt):
            report.count("receipts")
            known = ledgers.known(found.source)
            how = balance_of(ledgers, known)
            if how.standing is Standing.DELIVERED:
                proven.add(found.source)
            if not any(_contradictions(found, known, how)):
                continue
        doubtful.append(path)
    if doubtful:
        _report_contradictions(ledgers.root, doubtful, report)
    if (lacking := report.counts.get("sources_delivered", 0) - len(proven)) > 0:
        text = f"{lacking:,} sources that are delivered have no receipt here: PROOFS may leave receipts out"
        report.unseen.add(ReportedFinding("receipts", text))


def _report_contradictions(root: Path, doubtful: Iterable[Path], report: Report) -> None:
    # Sinks that have gone on since make a receipt newer than the first copy of the ledgers. The receipts are read
    # before the ledgers are copied anew: the other way round they could be newer once more.
    found = {path: _read(path) for path in doubtful}
    ledgers = Ledgers(root, with_files=False)
    try:
        for path, receipt in found.items():
            name = str(path.relative_to(root))
            if isinstance(receipt, Receipt):
                known = ledgers.known(receipt.source)
                how = balance_of(ledgers, known)
                for text in _contradictions(receipt, known, how):
                    report.differs.add(ReportedFinding("receipt", f"{name}: {text}", name, source=receipt.source))
            elif not isinstance(receipt, FileNotFoundError):
                report.differs.add(ReportedFinding("receipt", f"{name} is no receipt: {receipt}", name))
    finally:
        ledgers.close()


def _read(path: Path) -> Receipt | OSError | ValueError:
    """The receipt in this file, or why there is none."""
    try:
        return decode_receipt(path.read_bytes())
    except (OSError, ValueError) as error:
        return error


def _contradictions(receipt: Receipt, known: Known, found: Balance) -> Iterator[str]:
    if found.ended is None:
        # Forgotten, or begun anew.
        return
    if receipt.number > found.ended.number:
        yield f"it speaks of end {receipt.number}, and the ledgers know of {found.ended.number}"
    if receipt.number == found.ended.number and (receipt.size, receipt.tally) != (found.ended.size, found.ended.tally):
        yield f"it says that {receipt.tally.rows:,} rows were read, with sums that are not the ledgers'"
    safe = {split: each for split, each in found.safe.items() if each.ended.number == receipt.number}
    yield from _other_splits(receipt, known, found, set(safe) - {EVERY_SPLIT})
    if EVERY_SPLIT in safe and not _has_replays(receipt.rejected.replayed, known, EVERY_SPLIT):
        yield from _other_codes(receipt.rejected, safe[EVERY_SPLIT], "every split")
    for split, delivered in receipt.splits.items():
        # A replay that came later supersedes the receipt, which is written again soon.
        replayed = delivered.replayed + delivered.rejected.replayed
        if split not in safe or _has_replays(replayed, known, split):
            continue
        if delivered.files != safe[split].files:
            there, rows = delivered.files.rows, safe[split].files.rows
            sums = "" if there != rows else ", with other sums"
            yield f"it says that {there:,} rows are in the files of split {split}, not {rows:,}{sums}"
        yield from _other_codes(delivered.rejected, safe[split], f"split {split}")
        if delivered.rejected_tally != safe[split].rejected:
            yield f"it says that the rejected rows of split {split} have sums that are not the ledgers'"


def _has_replays(replayed: int, known: Known, split: str) -> bool:
    """Whether rows of this split were sent again, by the receipt or by the ledgers: no end says how many then are."""
    kinds = (CountKind.REPLAY, CountKind.SENT, CountKind.TAKEN)
    tallies = known.tallies.values()
    return replayed > 0 or any(
        total(each, of, kind).rows for each in tallies for of in (split, EVERY_SPLIT) for kind in kinds
    )


def _other_splits(receipt: Receipt, known: Known, found: Balance, safe: Collection[str]) -> Iterator[str]:
    if found.ended is None or found.ended.number != receipt.number:
        return
    named = {split for each in known.passed if each.ended.number == receipt.number for split in each.ended.split_by}
    if unknown := sorted(receipt.splits.keys() - named):
        yield f"it has split {unknown[0]}, of which the ledgers know nothing at its end"
    # One that was filled since comes into the receipt soon.
    is_current = receipt.safe_ms >= max(known.safe_ms.values(), default=0)
    if is_current and found.standing is Standing.DELIVERED and (absent := sorted(set(safe) - receipt.splits.keys())):
        yield f"it has nothing of split {absent[0]}"


def _other_codes(rejected: Rejections, safe: Safe, where: str) -> Iterator[str]:
    if dict(rejected.codes) != dict(safe.codes):
        listed, expected = _listed(rejected.codes), _listed(safe.codes)
        yield f"it says that of {where} {listed} are rejected, not {expected}"


def _listed(codes: Mapping[str, int]) -> str:
    return ", ".join(f"{rows:,} {code}" for code, rows in sorted(codes.items())) or "none"
