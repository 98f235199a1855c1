"""`nacre verify OUT --watch`: which sources are delivered, under way or stuck, by the ledgers and the sizes of files.

A ledger does not have rows that are not safe yet. Once a source's end has come to any ledger, it is known how many
of its rows are not safe, and that they were read before that.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
from msgspec import Struct, field
from msgspec.structs import replace

from common.errors import ConfigurationError
from ops.command_line import discard_output
from ops.verify.balance import Balance, Standing
from ops.verify.ledgers import Ledgers
from ops.verify.receipts import balance_of
from ops.verify.report import DIFFERS, NOT_YET, WELL
from ops.verify.rows.source_names import match_names, newest
from ops.verify.unpacking import Packing, packing_by_content

_INTERVAL_S = 1.0
_MOST_SHOWN = 10


class Survey(Struct):
    """How the sources stand: how many are delivered, and the others; `unknown` are those that no ledger knows yet.

    `older` is how many were begun in format 1: no ledger knows whether all of them is there.
    """

    delivered: int = 0
    older: int = 0
    under_way: list[Balance] = field(default_factory=list)
    stuck: list[Balance] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    missing: int = 0

    @property
    def exit_code(self) -> int:
        """The verdict on all of them: waiting does not mend sums that do not add up."""
        if any(each.standing is Standing.OFF for each in self.stuck):
            return DIFFERS
        is_all = (self.delivered or self.older) and not (self.under_way or self.stuck or self.unknown)
        return WELL if is_all else NOT_YET

    def fields(self, now_ms: int) -> dict[str, Any]:
        """As JSON."""
        return {
            "delivered": self.delivered,
            "older": self.older,
            "under_way": [_fields(each, now_ms) for each in self.under_way[:_MOST_SHOWN]],
            "stuck": [_fields(each, now_ms) for each in self.stuck[:_MOST_SHOWN]],
            "unknown": self.unknown[:_MOST_SHOWN],
            "sources_under_way": len(self.under_way) + len(self.unknown),
            "sources_stuck": len(self.stuck),
            "rows_not_safe_yet": self.missing,
        }

    def lines(self, now_ms: int) -> Iterator[str]:
        """For people."""
        count = len(self.under_way) + len(self.unknown)
        older = f", {self.older:,} begun in format 1" if self.older else ""
        yield f"{self.delivered:,} delivered, {count:,} under way, {len(self.stuck):,} stuck{older}"
        for mark, found in (("stuck", self.stuck), ("under way", self.under_way)):
            for each in found[:_MOST_SHOWN]:
                yield f"{mark}: {each.source}: {each.reason}; {_age(each, now_ms)}"
        for name in self.unknown[:_MOST_SHOWN]:
            yield f"under way: {name}: no row of it is safe yet"


def survey(ledgers: Ledgers, files: Mapping[str, Path], now_ms: int, stuck_s: float) -> Survey:
    """How all sources stand, or those that are given as `files`; the oldest first."""
    found = Survey()
    names = newest(match_names(files, ledgers.sources()))
    found.unknown = [name for name in files if name not in names]
    paths = {source: files[name] for name, source in names.items()}
    for source in sorted(paths) if files else ledgers.sources():
        each = balance_of(ledgers, ledgers.known(source))
        if source in paths:
            each = _grown(each, paths[source])
        found.missing += each.missing
        if each.standing is Standing.DELIVERED:
            found.delivered += 1
        elif each.standing is Standing.OLDER:
            found.older += 1
        elif each.standing is Standing.OFF or now_ms - each.latest_ms >= stuck_s * 1000:
            found.stuck.append(each)
        else:
            found.under_way.append(each)
    for some in (found.stuck, found.under_way):
        some.sort(key=lambda each: each.since_ms)
    return found


def _grown(known: Balance, path: Path) -> Balance:
    """A delivered source whose file may have grown behind its latest end; of a packed file that cannot be seen."""
    if known.standing is not Standing.DELIVERED or known.ended is None:
        return known
    read = known.ended.size
    try:
        stat = path.stat()
        if stat.st_size <= read:
            return known
        with path.open("rb") as file:
            if packing_by_content(file) is not Packing.NONE:
                return known
    except OSError:
        # It has left, as delivered files may.
        return known
    reason = f"it has {stat.st_size:,} bytes, and {read:,} were read up to its latest end"
    written_ms = max(known.latest_ms, stat.st_mtime_ns // 1_000_000)
    return replace(known, standing=Standing.GROWN, reason=reason, since_ms=written_ms, latest_ms=written_ms)


def watch(root: Path, files: Mapping[str, Path], stuck_s: float, *, as_json: bool) -> int:
    """Print how the sources stand whenever that changes, until all are delivered, or one can never be."""
    before: object = None
    code = NOT_YET
    try:
        while code == NOT_YET:
            found, now_ms = _look(root, files, stuck_s)
            code = found.exit_code
            if (now := found.fields(0)) != before:
                before = now
                text = orjson.dumps(found.fields(now_ms)).decode() if as_json else "\n".join(found.lines(now_ms))
                sys.stdout.write(f"{text}\n")
                sys.stdout.flush()
            if code == NOT_YET:
                time.sleep(_INTERVAL_S)
    except KeyboardInterrupt:
        return NOT_YET
    except BrokenPipeError:
        discard_output()
    return code


def _look(
    root: Path, files: Mapping[str, Path], stuck_s: float, clock: Callable[[], float] = time.time
) -> tuple[Survey, int]:
    ledgers = Ledgers(root, with_files=False)
    try:
        if ledgers.formats == {1}:
            raise ConfigurationError(
                f"{root}: in a pipeline of format 1 no ledger says what was read: --watch sees nothing"
            )
        now_ms = round(clock() * 1000)
        return survey(ledgers, files, now_ms, stuck_s), now_ms
    finally:
        ledgers.close()


def _fields(found: Balance, now_ms: int) -> dict[str, Any]:
    fields: dict[str, Any] = {"source": found.source, "reason": found.reason}
    if found.ended is not None:
        fields["rows_not_safe_yet"] = found.missing
    return fields | ({"age_s": round((now_ms - found.since_ms) / 1000, 1)} if now_ms else {})


def _age(found: Balance, now_ms: int) -> str:
    age = max(0, now_ms - found.since_ms) / 1000
    if found.standing is Standing.GROWN:
        return f"it was written {age:,.0f} s ago"
    return f"the last {age:,.0f} s ago" if found.ended is None else f"the oldest was read at least {age:,.0f} s ago"
