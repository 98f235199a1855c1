"""The tallies of a ledger: what of each source is durable, by split, and what was there at its latest end."""

import sqlite3
from collections.abc import Iterator, Mapping

import orjson
from msgspec import to_builtins

from common.protocol.shares import (
    Counted,
    CountKind,
    Times,
    decode_ended,
    fields_of,
    list_tallies,
    tallies_of,
    times_of,
)
from common.rows.tally import NOTHING, Tally
from services.sink.ledger import sql
from services.sink.tallies.additions import Additions
from services.sink.tallies.states import Passed, SourceState, Unshared

_HEX_DIGITS = 16
# No source has this name.
_FORGOTTEN = ""


def enter(
    db: sqlite3.Connection, additions: Mapping[str, Additions], offset: int, safe_ms: int, *, is_rejected: bool
) -> list[Unshared]:
    """Add what a checkpoint up to `offset` has made durable, in the caller's transaction.

    Return the sources that have ended, now or before, and whose shares change with it.
    """
    if not additions:
        # In format 1 there are no tables of tallies.
        return []
    states: dict[str, SourceState] = {}
    unshared: list[Unshared] = []
    ending: list[str] = []
    for source, of_source in additions.items():
        known = read_state(db, source)
        states[source] = state = known or SourceState()
        known_times = dict(state.times)
        snapshots = state.advance(of_source, safe_ms, is_rejected=is_rejected)
        if of_source.ends or state.times != known_times:
            ending.append(source)
        # Else rows behind the end of a file that grows would have its receipt issued again and again.
        if state.passed and of_source.supersedes_shares:
            unshared.append(Unshared(source, state, offset, tuple(snapshots)))
        if known is not None and (of_source.ends or of_source.is_begun_anew):
            db.execute(sql.DROP_PASSED, (source,))
            db.execute(sql.DROP_ENDS, (source,))
        if known is not None and of_source.is_begun_anew:
            db.execute(sql.DROP_VOID, (source,))
    # Few calls, whose cost is per call: most sources of a batch of small files are new.
    db.executemany(sql.SET_TALLY, (row for source in states for row in _tallies(source, states[source], additions)))
    db.executemany(sql.SET_END, (row for source in ending for row in _ends(source, states[source])))
    db.executemany(sql.SET_PASSED, (row for source in ending for row in _passed(source, states[source])))
    shared = states.keys() - {each.source for each in unshared}
    rows = (_source(source, state, is_shared=source in shared) for source, state in states.items())
    db.executemany(sql.SET_SOURCE, rows)
    return unshared


def read_state(db: sqlite3.Connection, source: str) -> SourceState | None:
    """What the ledger has of a source, None if nothing."""
    found = db.execute(sql.SOURCE, (source,)).fetchone()
    if found is None:
        return None
    latencies, files, safe_ms = found
    of_all = Times(dict(orjson.loads(latencies)), safe_ms)
    passed: dict[str, Passed] = {}
    times: dict[int, Times] = {}
    for split, copies, ended, tallies in db.execute(sql.PASSED, (source,)):
        fields = orjson.loads(ended)
        passed[split] = of_split = Passed(decode_ended(fields), copies, tallies_of(orjson.loads(tallies)))
        # A version in which ends had no times has kept those of all rows.
        times[of_split.ended.number] = times_of(fields) if "latencies" in fields else of_all
    return SourceState(_read_tallies(db, source), passed, of_all.latencies, orjson.loads(files), safe_ms, times)


def read_unshared(db: sqlite3.Connection, offset: int) -> list[Unshared]:
    """The sources whose shares are to be issued; `offset` is the ledger's next."""
    states = ((source, read_state(db, source)) for (source,) in db.execute(sql.UNSHARED).fetchall())
    return [Unshared(source, state, offset) for source, state in states if state is not None]


def forget(db: sqlite3.Connection, source: str) -> bool:
    """Add a source's tallies to those of all that are forgotten, in the caller's transaction; False if it has none."""
    gone, sums = _read_tallies(db, source), _read_tallies(db, _FORGOTTEN)
    db.executemany(sql.SET_TALLY, (_row(_FORGOTTEN, key, sums.get(key, NOTHING) + gone[key]) for key in gone))
    for statement in (sql.DROP_TALLIES, sql.DROP_PASSED, sql.DROP_ENDS):
        db.execute(statement, (source,))
    return db.execute(sql.DROP_SOURCE, (source,)).rowcount > 0


def _read_tallies(db: sqlite3.Connection, source: str) -> dict[Counted, Tally]:
    return {
        Counted(split, CountKind(kind), code): Tally(rows, size, int(checksum, 16))
        for split, kind, code, rows, size, checksum in db.execute(sql.TALLIES_OF, (source,))
    }


def _tallies(source: str, state: SourceState, additions: Mapping[str, Additions]) -> Iterator[tuple[object, ...]]:
    return (_row(source, key, state.tallies[key]) for key in additions[source].rows)


def _row(source: str, key: Counted, tally: Tally) -> tuple[object, ...]:
    return source, *key, tally.rows, tally.size, f"{tally.checksum:0{_HEX_DIGITS}x}"


def _ends(source: str, state: SourceState) -> Iterator[tuple[object, ...]]:
    for each in state.at_ends():
        fields = {**to_builtins(each.ended), **fields_of(each.times)}
        yield source, each.ended.number, orjson.dumps(fields).decode()


def _passed(source: str, state: SourceState) -> Iterator[tuple[object, ...]]:
    for split, passed in state.passed.items():
        yield source, split, passed.ended.number, passed.copies, orjson.dumps(list_tallies(passed.tallies)).decode()


def _source(source: str, state: SourceState, *, is_shared: bool) -> tuple[object, ...]:
    latencies, files = orjson.dumps(list(state.latencies.items())), orjson.dumps(state.files)
    return source, latencies.decode(), files.decode(), state.safe_ms, is_shared
