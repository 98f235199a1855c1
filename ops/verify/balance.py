"""Whether what the ledgers have of a source adds up: for each split, files + rejected = what was read. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import NamedTuple

from msgspec import Struct, field

from common.protocol.messages import Ended
from common.protocol.receipts import Receipt
from common.protocol.shares import EVERY_SPLIT, CountKind, Tallies, total
from common.rows.tally import NOTHING, Tally


class Passed(NamedTuple):
    """An end of a source that a split has passed in a ledger, so many copies of it, and what was there at the last."""

    ledger: int
    split: str
    copies: int
    ended: Ended
    tallies: Tallies


class Known(NamedTuple):
    """What the ledgers have of a source; by ledger, its tallies and when its last rows were safe (ms since 1970)."""

    source: str
    tallies: Mapping[int, Tallies]
    passed: Sequence[Passed]
    safe_ms: Mapping[int, int]


class Standing(Enum):
    """How a source stands."""

    DELIVERED = auto()
    # It was begun before the pipeline was upgraded: no ledger has all of its rows.
    OLDER = auto()
    UNDER_WAY = auto()
    # All that was read has come, and its file has grown since.
    GROWN = auto()
    # All that was read has come, and does not add up: waiting mends nothing.
    OFF = auto()


class Safe(NamedTuple):
    """What is safe of one split at an end of the source; later replays are counted by themselves.

    `codes` are the rejected rows by code.
    """

    ended: Ended
    files: Tally
    rejected: Tally
    codes: Mapping[str, int]


class Balance(Struct, frozen=True):
    """How a source stands, and in one line why it is not delivered.

    `ended` is its latest end that any ledger knows. By split, `safe` is what has come whole, `missing` how many rows of
    those that were read are not safe yet. `since_ms` is when the oldest of them was read, at the latest; `latest_ms` is
    when the last row became safe. Of the splits that are `left_out`, no more comes.
    """

    source: str
    standing: Standing
    reason: str = ""
    ended: Ended | None = None
    safe: Mapping[str, Safe] = field(default_factory=dict)
    missing: int = 0
    since_ms: int = 0
    latest_ms: int = 0
    left_out: Collection[str] = ()

    def safe_bytes(self, split: str) -> int:
        """Up to which offset of the source its rows have to be there for this split."""
        return self.safe[split].ended.size if split in self.safe else 0


def balance(known: Known, ledgers: Collection[int], rejected: int | None, receipt: Receipt | None = None) -> Balance:
    """Balance one source over all ledgers, of which `rejected` is that of rejected rows, None if it is not there.

    Its `receipt` tells which of the splits that its latest end names were removed before they were filled.
    """
    latest_ms = max(known.safe_ms.values(), default=0)
    ended = max((each.ended for each in known.passed), key=lambda each: each.number, default=None)
    if ended is None:
        rows = max((_read(known, split) for split in _splits(known)), default=0)
        reason = f"its end has not come; {rows:,} rows are safe"
        return Balance(known.source, Standing.UNDER_WAY, reason, since_ms=latest_ms, latest_ms=latest_ms)
    left_out = frozenset[str]() if receipt is None else _left_out(known, ended, receipt)
    named = (each for one in known.passed if one.ended.number == ended.number for each in one.ended.split_by)
    wanted = {each: None for each in named if each not in left_out}
    safe = {
        split: found
        for split in dict.fromkeys((*wanted, *(each.split for each in known.passed)))
        if (found := _safe(known, split, ledgers if split else (), rejected)) is not None
    }
    off = [line for split, found in safe.items() if (line := _difference(split, found))]
    missing = {split: max(0, ended.tally.rows - _read(known, split)) for split in wanted}
    late = [split for split in (*wanted, EVERY_SPLIT) if split not in safe or safe[split].ended.number < ended.number]
    behind = [split for split in wanted if split in safe and _read(known, split) > _rows(safe[split])]
    # Ingest writes these rejections itself. One from behind an end may arrive before split's copy of that end.
    has_later = EVERY_SPLIT in safe and safe[EVERY_SPLIT].rejected.rows > ended.rejected
    sent = [split for split in wanted if _unsent(known, split)]
    standing, reason = Standing.UNDER_WAY, ""
    if ended.is_older and not late:
        standing, missing = Standing.OLDER, {}
    elif off:
        standing, reason = Standing.OFF, "; ".join(off)
    elif late:
        reason = _waiting(missing, ended.tally.rows)
    elif behind:
        reason = f"rows behind its latest end are safe, and the next end has not come (split {behind[0]})"
    elif has_later:
        reason = "more rows are rejected for all than before its latest end, and the next end has not come"
    elif sent:
        reason = f"rows that were sent again have not all come to split {sent[0]}"
    else:
        standing = Standing.DELIVERED
    since_ms = min(known.safe_ms[each.ledger] for each in known.passed if each.ended.number == ended.number)
    return Balance(known.source, standing, reason, ended, safe, sum(missing.values()), since_ms, latest_ms, left_out)


def _left_out(known: Known, ended: Ended, receipt: Receipt) -> frozenset[str]:
    """The splits that this end named as it came, and that its receipt is without: they were removed from SPLIT_BY.

    A split that was added since the receipt is named as well, by the copies of the end that fill it, or another such
    one. So only a ledger counts where all splits that have passed the end are in the receipt.
    """
    found: set[str] = set()
    if (receipt.number, receipt.size, receipt.tally) == (ended.number, ended.size, ended.tally):
        for ledger in known.safe_ms:
            at = [each for each in known.passed if each.ledger == ledger and each.ended.number == ended.number]
            if {each.split for each in at} - {EVERY_SPLIT} <= receipt.splits.keys():
                found.update(split for each in at for split in each.ended.split_by)
    return frozenset(found - receipt.splits.keys())


def _splits(known: Known) -> set[str]:
    return {key.split for tallies in known.tallies.values() for key in tallies}


def _read(known: Known, split: str) -> int:
    """How many of the rows that were read from the source are safe by now, in files or rejected."""
    return sum(total(tallies, split, CountKind.READ).rows for tallies in known.tallies.values())


def _rows(safe: Safe) -> int:
    return safe.files.rows + safe.rejected.rows


def _safe(known: Known, split: str, ledgers: Collection[int], rejected: int | None) -> Safe | None:
    """What is safe of a split at the latest end that it has passed in all ledgers; None while some lacks it."""
    at = [each for each in known.passed if each.split == split and each.copies >= each.ended.parts]
    if rejected is None or {each.ledger for each in at} != {*ledgers, rejected}:
        return None
    if len({each.ended.number for each in at}) > 1:
        return None
    files = _sum(total(each.tallies, split, CountKind.READ) for each in at if each.ledger != rejected)
    [refused] = (each.tallies for each in at if each.ledger == rejected)
    codes = {
        key.code: tally.rows
        for key, tally in refused.items()
        if (key.split, key.kind) == (split, CountKind.READ) and tally.rows
    }
    return Safe(at[0].ended, files, total(refused, split, CountKind.READ), codes)


def _difference(split: str, safe: Safe) -> str:
    """Why what is there is not what was read; "" if it is."""
    if split == EVERY_SPLIT:
        rows, expected = safe.rejected.rows, safe.ended.rejected
        return "" if rows >= expected else f"{rows:,} rejected for all, not {expected:,}"
    if safe.files + safe.rejected == safe.ended.tally:
        return ""
    there = f"split {split}: {safe.files.rows:,} in files + {safe.rejected.rows:,} rejected"
    rows = safe.ended.tally.rows
    return f"{there} are {'not the' if _rows(safe) == rows else 'not'} {rows:,} rows that were read"


def _waiting(missing: Mapping[str, int], rows: int) -> str:
    most = max(missing, key=lambda split: missing[split], default="")
    if not most or not missing[most]:
        return "its end has not come everywhere"
    return f"{missing[most]:,} of {rows:,} rows are not safe yet in split {most}"


def _unsent(known: Known, split: str) -> bool:
    """Whether rows that were sent again are on their way to this split."""
    sent = [total(each, of, CountKind.SENT) for each in known.tallies.values() for of in (split, EVERY_SPLIT)]
    return _sum(total(each, split, CountKind.REPLAY) for each in known.tallies.values()) != _sum(sent)


def _sum(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, NOTHING)
