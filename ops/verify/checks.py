"""What the ledgers of an output folder say, compared with itself and with the names of files."""

from collections.abc import Iterator

from common.protocol.category_keys import parse_file_key
from common.protocol.output_folder import REJECTED_PATH
from common.protocol.shares import CountKind
from ops.verify.balance import Balance, Known, Standing
from ops.verify.entries import File
from ops.verify.ledgers import Ledgers
from ops.verify.receipts import balance_of
from ops.verify.report import Report, ReportedFinding
from ops.verify.rows.names import NamedCategory, numbers_in

# Of rows that are in files, or rejected.
IN_FILES = (CountKind.READ, CountKind.REPLAY, CountKind.OLDER)
_PACKED = (".gz", ".zst")


class PathChecker:
    """Whether each file's path says which category it holds, and each schema has one number in all paths."""

    def __init__(self, ledgers: Ledgers, report: Report) -> None:
        self._ledgers = ledgers
        self._report = report
        self._numbers: dict[str, set[int]] = {}

    def check(self, file: File) -> None:
        """Check one more file."""
        if file.is_rejected:
            is_right = file.path == REJECTED_PATH
        else:
            schema, split, category = parse_file_key(file.key)
            path = file.final or file.path
            path = next((path.removesuffix(suffix) for suffix in _PACKED if path.endswith(suffix)), path)
            found = numbers_in(path, self._ledgers.rules[file.ledger], NamedCategory(split, category, file.part))
            found &= self._numbers.get(schema, found)
            is_right = bool(found)
            if is_right:
                self._numbers[schema] = found
        if not is_right:
            text = f"{file.name} is not the path of the category that its ledger has there"
            self._report.differs.add(ReportedFinding("name", text, file.name))


def check_rows(ledgers: Ledgers, report: Report) -> None:
    """Compare the rows of each split's files with the ledgers' own tallies of them."""
    for ledger, split, rows in ledgers.rows_of_files() if ledgers.formats != {1} else ():
        tallied = sum(tally.rows for _, tally in ledgers.tallied(ledger, split, IN_FILES))
        # Rejections of a source that was begun anew are void, and stay in their file.
        if tallied > rows or (tallied < rows and split is not None):
            where = f"{ledgers.name(ledger)}, {'rejected' if split is None else f'split {split}'}"
            text = f"{where}: its files have {rows:,} rows, and by source it knows {tallied:,}"
            report.differs.add(ReportedFinding("rows", text, found=str(rows), expected=str(tallied)))


def check_sources(ledgers: Ledgers, report: Report) -> Iterator[tuple[Known, Balance]]:
    """Balance each source, and report those that are not delivered; what the ledgers have of it, and how it stands."""
    if ledgers.formats == {1}:
        text = "in a pipeline of format 1 no ledger says what was read, so nothing shows whether it was delivered"
        report.unseen.add(ReportedFinding("format", text))
        return
    older = 0
    for source in ledgers.sources():
        known = ledgers.known(source)
        found = balance_of(ledgers, known)
        match found.standing:
            case Standing.DELIVERED:
                report.count("sources_delivered")
            case Standing.OLDER:
                older += 1
            case Standing.UNDER_WAY:
                report.count("sources_under_way")
                report.not_yet.add(ReportedFinding("under way", f"{source}: {found.reason}", source=source))
            case Standing.OFF:
                report.count("sources_stuck")
                report.differs.add(ReportedFinding("balance", f"{source}: {found.reason}", source=source))
        yield known, found
    if older:
        text = f"{older:,} sources were begun in format 1: whether all that was read of them is there, no ledger knows"
        report.unseen.add(ReportedFinding("older", text))
