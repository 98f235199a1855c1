"""The tallies of a ledger: what of each source is durable, by split, and what was at its latest end."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from common.protocol.messages import Ended
from common.protocol.shares import (
    EVERY_SPLIT,
    Counted,
    FileNames,
    Kind,
    Share,
    Snapshot,
    Tallies,
    decode_ended,
    list_tallies,
    tallies_of,
)
from common.rows.tally import NOTHING, Tally
from services.sink.ledger import sql
from services.sink.tallies.additions import MOST_NAMED, Additions
from services.sink.tallies.latencies import added, bucket_of

_HEX_DIGITS = 16
# No source has this name.
_FORGOTTEN = ""


@dataclass(frozen=True, slots=True)
class _End:
    """What was there of one split at an end of which so many copies were seen, of as many as it has parts."""

    ended: Ended
    copies: int
    tallies: Tallies

    @property
    def is_whole(self) -> bool:
        """Whether all rows before the end are in the tallies."""
        return self.copies >= self.ended.parts


def enter(
    db: sqlite3.Connection, additions: Mapping[str, Additions], safe_ms: int, *, is_rejected: bool
) -> dict[str, list[Snapshot]]:
    """Add what a checkpoint has made durable, in the caller's transaction.

    Return the sources that have ended, now or before, with the snapshots at the ends that came.
    `is_rejected`: the ledger is that of `rejected`, where rows may be of EVERY_SPLIT.
    """
    snapshots: dict[str, list[Snapshot]] = {}
    for source, of_source in additions.items():
        if of_source.is_begun_anew:
            db.execute(sql.DROP_READ, (source,))
            db.execute(sql.DROP_PASSED, (source,))
        before, ends = _read_tallies(db, source), _read_ends(db, source)
        for number, ended in enumerate(of_source.ends):
            splits = (*ended.splits, EVERY_SPLIT) if is_rejected and not ended.is_filling else ended.splits
            for split in splits:
                _pass(ends, split, ended, _at(before, of_source, split, number))
            whole = {split: ends[split] for split in splits if ends[split].is_whole}
            snapshots.setdefault(source, []).extend(_snapshots(whole))
        if of_source.ends or of_source.is_begun_anew:
            db.executemany(sql.SET_END, _end_rows(source, ends))
            db.executemany(sql.SET_PASSED, _passed_rows(source, ends))
            db.execute(sql.DROP_ENDS, (source,))
        db.executemany(sql.SET_TALLY, _tally_rows(source, before, of_source))
        if ends:
            snapshots.setdefault(source, [])
        _set_source(db, source, of_source, safe_ms, is_shared=not ends)
    return snapshots


def read_share(
    db: sqlite3.Connection, source: str, taken: Sequence[Snapshot], partition: str, folder: str, offset: int
) -> Share | None:
    """The share of a source, None while it has not ended. `taken` are snapshots that the ledger does not keep."""
    ends = {split: end for split, end in _read_ends(db, source).items() if end.is_whole}
    snapshots: dict[int, Snapshot] = {}
    for each in (*taken, *_snapshots(ends)):
        known = snapshots.get(each.ended.number)
        snapshots[each.ended.number] = each if known is None else known.with_splits(each)
    if not snapshots:
        return None
    [(latencies, files, safe_ms)] = db.execute(sql.SOURCE, (source,))
    return Share(
        source,
        partition,
        folder,
        offset,
        tuple(snapshots.values()),
        {key: tally for key, tally in _read_tallies(db, source).items() if key.kind is not Kind.READ},
        dict(orjson.loads(latencies)),
        {
            split: FileNames(tuple(paths[:MOST_NAMED]), len(paths) > MOST_NAMED)
            for split, paths in orjson.loads(files).items()
        },
        safe_ms,
    )


def forget(db: sqlite3.Connection, source: str) -> bool:
    """Add a source's tallies to those of all that are forgotten, in the caller's transaction; False if it has none."""
    gone, sums = _read_tallies(db, source), _read_tallies(db, _FORGOTTEN)
    db.executemany(sql.SET_TALLY, (_row(_FORGOTTEN, key, sums.get(key, NOTHING) + gone[key]) for key in gone))
    for statement in (sql.DROP_TALLIES, sql.DROP_PASSED, sql.DROP_ENDS):
        db.execute(statement, (source,))
    return db.execute(sql.DROP_SOURCE, (source,)).rowcount > 0


def _pass(ends: dict[str, _End], split: str, ended: Ended, tallies: Tallies) -> None:
    """Take note of one more copy of an end; one that another has overtaken is left out."""
    known = ends.get(split)
    if known is None or known.ended.number < ended.number:
        ends[split] = _End(ended, 1, tallies)
    elif known.ended.number == ended.number:
        ends[split] = _End(ended, known.copies + 1, tallies)


def _at(before: Tallies, of_source: Additions, split: str, number: int) -> Tallies:
    """What there is of a split at the end with this index."""
    keys = {key for key in (*before, *of_source.rows) if key.split == split and key.kind is Kind.READ}
    found = {key: before.get(key, NOTHING) + of_source.up_to(key, number) for key in sorted(keys)}
    return found or {Counted(split): NOTHING}


def _snapshots(ends: Mapping[str, _End]) -> Iterator[Snapshot]:
    """The ends of splits, those of the same number as one snapshot."""
    for number in sorted({end.ended.number for end in ends.values()}):
        of_number = {split: end for split, end in ends.items() if end.ended.number == number}
        tallies = {key: tally for end in of_number.values() for key, tally in end.tallies.items()}
        [first, *_] = of_number.values()
        split_by = tuple(dict.fromkeys(split for end in of_number.values() for split in end.ended.split_by))
        yield Snapshot(replace(first.ended, splits=tuple(of_number), split_by=split_by), tallies)


def _set_source(db: sqlite3.Connection, source: str, of_source: Additions, safe_ms: int, *, is_shared: bool) -> None:
    latencies: dict[int, int] = {}
    for read_ms, rows in of_source.read_ms.items():
        latencies = added(latencies, {bucket_of(safe_ms - read_ms): rows})
    files = {split: list(paths) for split, paths in of_source.files.items()}
    if found := db.execute(sql.SOURCE, (source,)).fetchone():
        latencies = added(dict(orjson.loads(found[0])), latencies)
        known = orjson.loads(found[1])
        files = {
            split: list(dict.fromkeys((*known.get(split, ()), *files.get(split, ()))))[: MOST_NAMED + 1]
            for split in {**known, **files}
        }
    listed = orjson.dumps(list(latencies.items())).decode()
    db.execute(sql.SET_SOURCE, (source, listed, orjson.dumps(files).decode(), safe_ms, is_shared))


def _tally_rows(source: str, before: Tallies, of_source: Additions) -> Iterator[tuple[object, ...]]:
    for key in of_source.rows:
        yield _row(source, key, before.get(key, NOTHING) + of_source.up_to(key, len(of_source.ends)))


def _row(source: str, key: Counted, tally: Tally) -> tuple[object, ...]:
    return source, *key, tally.rows, tally.size, f"{tally.checksum:0{_HEX_DIGITS}x}"


def _end_rows(source: str, ends: Mapping[str, _End]) -> Iterator[tuple[object, ...]]:
    """Each end once. A split that was added later has an end of its own of the same number, which names it."""
    for snapshot in _snapshots(ends):
        yield source, snapshot.ended.number, orjson.dumps(asdict(snapshot.ended)).decode()


def _passed_rows(source: str, ends: Mapping[str, _End]) -> Iterator[tuple[object, ...]]:
    for split, end in ends.items():
        yield source, split, end.ended.number, end.copies, orjson.dumps(list_tallies(end.tallies)).decode()


def _read_tallies(db: sqlite3.Connection, source: str) -> dict[Counted, Tally]:
    return {
        Counted(split, Kind(kind), code): Tally(rows, size, int(checksum, 16))
        for split, kind, code, rows, size, checksum in db.execute(sql.TALLIES_OF, (source,))
    }


def _read_ends(db: sqlite3.Connection, source: str) -> dict[str, _End]:
    return {
        split: _End(decode_ended(orjson.loads(ended)), copies, tallies_of(orjson.loads(tallies)))
        for split, copies, ended, tallies in db.execute(sql.PASSED, (source,))
    }
