"""Whether a run is complete, in a word and a line, and what could not be known. Pure."""

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from ops.verify.report import Report
from services.sink.folder_proofs.seal import SealState


class Standing(StrEnum):
    """What the verdict is."""

    COMPLETE = "complete"
    NOT_COMPLETE = "not complete"
    NOT_KNOWN = "not known to be complete"
    WRONG = "wrong"


class Verdict(Struct, frozen=True):
    """The verdict: `text` explains it, `reasons` are what speaks against complete, `unseen` is what nothing shows."""

    standing: Standing
    text: str
    reasons: Sequence[str] = ()
    unseen: Sequence[str] = ()


class Marks(Struct, frozen=True):
    """What a run leaves besides rows: how each partition is filled, and whether `_SUCCESS` is there.

    `formats` are those of the ledgers, none while a sink is creating them.
    """

    formats: frozenset[int]
    seals: Sequence[SealState]
    is_success: bool


def judge(found: Report, marks: Marks) -> Verdict:
    """The verdict on what `nacre verify` found in the ledgers, the receipts and the lengths of the files."""
    unseen = [finding.text for finding in found.unseen.first]
    if found.differs.count:
        text = "What is there is not what has to be there. nacre verify shows everything."
        return Verdict(Standing.WRONG, text, _listed(found.differs.count, _texts(found, "differs")), unseen)
    if not marks.formats:
        return Verdict(Standing.NOT_COMPLETE, "Nothing is there yet.", (), unseen)
    if marks.formats == {1}:
        text = "In a pipeline of format 1 nothing in the folder says how many rows were read, or that a run has ended."
        return Verdict(Standing.NOT_KNOWN, text, (), unseen)
    reasons = _listed(found.not_yet.count, _texts(found, "not_yet"))
    if unfinished := _explain_unfinished(marks.seals):
        reasons = [unfinished, *reasons]
    if reasons:
        text = "The run is not finished." if unfinished else "The run has ended, and not all of it is delivered."
        return Verdict(Standing.NOT_COMPLETE, text, reasons, unseen)
    if not marks.is_success:
        text = "The run has ended, and every source that is known is delivered. Nothing marks it as a success."
        reason = (
            "_SUCCESS is not there: part of the input could not be read to its end (sink's log says which), some "
            "sources were begun in format 1, or PROOFS leaves it out"
        )
        return Verdict(Standing.NOT_KNOWN, text, (reason,), unseen)
    return Verdict(Standing.COMPLETE, "Every row of every source is in its files, or rejected.", (), unseen)


def _explain_unfinished(seals: Sequence[SealState]) -> str:
    """Why the run has not ended; "" if it has."""
    if SealState.SERVICE in seals:
        return "a sink without EXIT_WHEN_DONE fills the folder, which never ends: these are the figures of a moment"
    if count := sum(seal is not SealState.SEALED for seal in seals):
        return f"{count:,} of {len(seals):,} partitions may still get rows: these are the figures of a moment"
    return ""


def _texts(found: Report, kind: str) -> list[str]:
    return [finding.text for finding in (found.differs if kind == "differs" else found.not_yet).first]


def _listed(count: int, texts: Sequence[str]) -> list[str]:
    return [*texts, f"and {count - len(texts):,} more"] if count > len(texts) else list(texts)
