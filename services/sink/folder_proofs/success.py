"""`_SUCCESS`: when a finite run is one, and what the file says. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
from msgspec import Struct

from common.protocol.finite_run import describe_run
from common.protocol.progress import Progress, Run

_VERSION = 1
_NS = 10**9


class Processed(Struct, frozen=True):
    """A finite run of which all is processed, at `moment_ns`.

    `ends` are the sources that have ended, with the number of the last end of each; `rows` is how many rows were read.
    `unread` says in one line that not everything was read, and why, or ""; `older` that some sources have no receipts.
    """

    moment_ns: int
    ends: Mapping[str, int]
    rows: int
    unread: str
    older: str = ""


class Undelivered(Struct, frozen=True):
    """How many sources are not delivered; the first one, and what it lacks."""

    count: int = 0
    first: str = ""
    lacks: str = ""

    def with_one(self, source: str, lacks: str) -> "Undelivered":
        """With one source more."""
        return Undelivered(self.count + 1, self.first or source, self.lacks or lacks)


def processed_of(sources: Mapping[str, Progress], runs: Mapping[int, Run], moment_ns: int) -> Processed:
    """What is processed at this moment (ns since 1970)."""
    fields = describe_run(sources, runs)
    older = [source for source, progress in sources.items() if progress.ended and progress.format == 1]
    ends = {source: each.ends for source, each in sources.items() if each.ended and each.format > 1}
    unread = ""
    if "unread" in fields:
        unread = f"{fields['unread']} of the input not read to the end, the first: {fields['first_unread']}"
    without = (
        f"{len(older)} sources were begun in format 1, which has no receipts, the first: {older[0]}" if older else ""
    )
    return Processed(moment_ns, ends, fields["rows"], unread, without)


def describe_undelivered(processed: Processed, undelivered: Undelivered) -> str:
    """Why the run is no success, in one line; "" if it is one."""
    if undelivered.count:
        return (
            f"{undelivered.count} of {len(processed.ends)} sources not delivered, the first: {undelivered.first}: "
            f"{undelivered.lacks}"
        )
    return processed.unread or processed.older


def encode_success(processed: Processed, folder: str, nacre: str) -> bytes:
    """What is in the file that marks a success, as JSON."""
    moment = datetime.fromtimestamp(processed.moment_ns / _NS, UTC)
    fields = {
        "version": _VERSION,
        "created": moment.isoformat(timespec="milliseconds"),
        "sources": len(processed.ends),
        "rows": processed.rows,
        "folder": folder,
        "nacre": nacre,
    }
    return orjson.dumps(fields, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
