"""Recovery of a partition's files at the start: each is cut back to its length in the ledger."""

from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from common.errors import ConfigurationError, ServiceError
from common.protocol.output_folder import HIDDEN
from services.sink.disk.durability import make_durable
from services.sink.disk.open_files import check_room, cut_back, remove_empty
from services.sink.disk.output_root import OutputRoot
from services.sink.ledger.database import APPENDED_TO, ENDED_AT, ENDS, FILES, NEXT_OFFSET, RULE, Ledger
from services.sink.ledger.entries import Changes
from services.sink.ledger.origin import Origin, explain_other_origin, unpinned
from services.sink.paths.template import PathRule
from services.sink.rolling.limits import NEVER

# Files without rows that one transaction of the ledger drops.
_AT_ONCE = 10_000


class Recovered(Struct, frozen=True):
    """The next offset in the ledger, None at the first start, and the ends of sources seen so far, as JSON.

    `ended_at`: files begun by then are due by a source's last end. `may_append`: the ledger says that files may be
    longer than it knows.
    """

    next_offset: int | None
    ends: str
    ended_at: float
    may_append: bool


def check_ledger(output: OutputRoot, path: str) -> None:
    """ServiceError if a ledger, or a file that SQLite keeps beside it, is a symbolic link or reached through one."""
    # SQLite opens a path and follows links, also one that is planted between this check and the opening. An attacker
    # who can do that can write the ledger itself, and `OutputRoot` refuses every path outside that it then names.
    for suffix in ("", "-wal", "-shm", "-journal"):
        output.status(path + suffix)


def open_ledger(root: Path, path: str, version: int, *, is_rejected: bool) -> Ledger:
    """Open or create the partition's ledger. DiskError if the disk is full, ServiceError if the ledger is unusable."""
    with OutputRoot(root) as output:
        # Before the ledger is opened, which takes room as well.
        check_room(output, f"{path}.room")
        check_ledger(output, path)
        return Ledger(root / path, version, is_rejected=is_rejected)


def recover(root: Path, ledger: Ledger, origin: Origin, rule: PathRule, given_up: Callable[[], bool]) -> Recovered:
    """Cut every file back to its length in the ledger.

    ServiceError if a file is shorter, or if the ledger is of another cluster or topic, where its offsets mean other
    records. ConfigurationError if the files were named by another PATH_TEMPLATE, or begun with ROLL_* where none is set
    now, or the reverse.
    """
    facts = ledger.facts()
    if why := explain_other_origin(facts, origin, root):
        raise ServiceError(why)
    if facts.get(RULE, rule.name) != rule.name:
        raise ConfigurationError(
            f"{root} holds files named by PATH_TEMPLATE {facts[RULE]}, this is {rule.name}: set PATH_TEMPLATE "
            "and ROLL_* back, or another OUTPUT_DIR"
        )
    if missing := unpinned(facts, origin) | ({} if RULE in facts else {RULE: rule.name}):
        ledger.commit(missing, Changes([]))
    # The ledger's own name may be new. Besides, a disk that cannot sync fails here, before a file is cut back.
    make_durable(root, [], [HIDDEN, ""], given_up)
    # Check all files, at 10 us each. To check only those written to since the last checkpoint, each would have to be
    # recorded durably before it is written to: a wait for the disk each time.
    with OutputRoot(root) as output:
        for path, length in ledger.lengths():
            if given_up():
                break
            cut_back(output, path, length)
        if rule.rolls:
            _remove_unused(output, ledger, given_up)
    next_offset = int(facts[NEXT_OFFSET]) if NEXT_OFFSET in facts else None
    ended_at = float(facts.get(ENDED_AT, NEVER))
    return Recovered(next_offset, facts.get(ENDS, "{}"), ended_at, facts.get(FILES) == APPENDED_TO)


def _remove_unused(output: OutputRoot, ledger: Ledger, given_up: Callable[[], bool]) -> None:
    """Remove the files that a crash left without rows: the next rows may go into files of other names."""
    while (unused := ledger.unused(_AT_ONCE)) and not given_up():
        for entry in unused:
            remove_empty(output, entry.path)
        # The entries last: sink never touches a file of no ledger, so after a crash in between it would stay for good.
        ledger.drop(unused)
