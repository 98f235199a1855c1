"""The files that are given, matched with the sources of the ledgers."""

import sys
from collections.abc import Mapping
from pathlib import Path

from ops.verify.ledgers import Ledgers
from ops.verify.report import Report, ReportedFinding
from ops.verify.rows.source_names import choose_sources, match_names
from ops.verify.unpacking import unpacked_size


def match_files(ledgers: Ledgers, files: Mapping[str, Path], report: Report) -> dict[str, tuple[Path, bool]]:
    """The files by the names that their sources have in the ledgers, and whether they are sure to be these.

    In format 1 sources have no names.
    """
    if ledgers.formats == {1}:
        return {name: (path, True) for name, path in files.items()}

    def size_of(file: str) -> int:
        # The reader reports a file that has left.
        try:
            return unpacked_size(files[file])
        except (OSError, ValueError):
            return sys.maxsize

    def end_of(source: str) -> int | None:
        ends = (each.ended for each in ledgers.known(source).passed)
        latest = max(ends, key=lambda ended: ended.number, default=None)
        return None if latest is None else latest.size

    found: dict[str, tuple[Path, bool]] = {}
    choices = choose_sources(match_names(files, ledgers.sources()), size_of, end_of)
    for name, path in files.items():
        choice = choices.get(name)
        if choice is None and not path.exists():
            report.unseen.add(left(path))
        elif choice is None:
            text = f"{path}: no ledger knows it: nothing of it is safe yet, or it has another name since"
            report.not_yet.add(ReportedFinding("unknown", text, source=name))
        elif choice.source is None:
            report.unseen.add(unsure(path))
        else:
            found[choice.source] = path, choice.is_sure
    return found


def unsure(path: Path) -> ReportedFinding:
    """That nothing says for certain which source a file is."""
    text = f"{path}: several files had its name in turn, and which of them it is, is not certain: it is not compared"
    return ReportedFinding("unsure", text, source=str(path))


def left(path: Path) -> ReportedFinding:
    """That a file that was there is not there any more: AFTER_DELIVERY may have moved it."""
    return ReportedFinding("left", f"{path}: it has left meanwhile: its rows are not compared", source=str(path))
