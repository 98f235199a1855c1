"""A partition's files at the start: brought to the state that the ledger has of them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.errors import ConfigurationError, ServiceError
from common.protocol.output_folder import HIDDEN
from services.sink.disk.durability import make_durable
from services.sink.disk.open_files import check_room, cut_back, remove_empty
from services.sink.disk.output_root import OutputRoot
from services.sink.ledger.database import ENDS, NEXT_OFFSET, RULE, Ledger, check_ledger
from services.sink.ledger.entries import Changes
from services.sink.ledger.origin import Origin, refusal, unpinned
from services.sink.paths.template import PathRule

# So many files without rows are forgotten at once.
_AT_ONCE = 10_000


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the ledger says besides its files: the next offset, None at the first start, and the ends that were seen."""

    next_offset: int | None
    ends: str


def open_ledger(root: Path, path: str) -> Ledger:
    """Open the partition's ledger, or make it, once there is room. Raises DiskError and ServiceError."""
    with OutputRoot(root) as output:
        # Before the ledger is opened, which takes room itself.
        check_room(output, f"{path}.room")
        check_ledger(output, path)
        return Ledger(root / path)


def recover(root: Path, ledger: Ledger, origin: Origin, rule: PathRule, given_up: Callable[[], bool]) -> Recovered:
    """Cut every file back to the ledger.

    ServiceError when the ledger is of another cluster or topic, where its offsets mean other records.
    ConfigurationError when its files were named by another PATH_TEMPLATE, or begun with ROLL_* where none is set now,
    or the reverse.
    """
    facts = ledger.facts()
    if why := refusal(facts, origin, root):
        raise ServiceError(why)
    if facts.get(RULE, rule.name) != rule.name:
        raise ConfigurationError(
            f"{root} holds files named by PATH_TEMPLATE {facts[RULE]}, this is {rule.name}: set that and ROLL_* as "
            "they were, or another OUTPUT_DIR"
        )
    if missing := unpinned(facts, origin) | ({} if RULE in facts else {RULE: rule.name}):
        ledger.commit(missing, Changes([]))
    # The ledger's own name may be new. And a disk that makes nothing safe is seen before a file is cut back and
    # written to in vain.
    make_durable(root, [], [HIDDEN, ""], given_up)
    # All files, not those alone that were written to since the last checkpoint: these would have to be noted, safe
    # from a power cut, before they are written to: a wait for the disk each time, to save a start 10 us a file.
    with OutputRoot(root) as output:
        for path, length in ledger.lengths():
            if given_up():
                break
            cut_back(output, path, length)
        if rule.rolls:
            _remove_unused(output, ledger, given_up)
    return Recovered(int(facts[NEXT_OFFSET]) if NEXT_OFFSET in facts else None, facts.get(ENDS, "{}"))


def _remove_unused(output: OutputRoot, ledger: Ledger, given_up: Callable[[], bool]) -> None:
    """Forget the files that a crash left without rows, where others would come to stand beside them."""
    while (unused := ledger.unused(_AT_ONCE)) and not given_up():
        for entry in unused:
            remove_empty(output, entry.path)
        # Only now: what no ledger knows is never touched.
        ledger.drop(unused)
