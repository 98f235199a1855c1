"""The names that files get on their way out: a hidden one beside their own, and one that nothing has."""

import re
from collections.abc import Callable
from hashlib import blake2b

_ASIDE = ".nacre-"
_ASIDE_NAME = re.compile(re.escape(_ASIDE) + r"([0-9a-f]{12})-[0-9]+-.*", re.DOTALL)
_CSV_SUFFIX = re.compile(r"\.csv(\.gz|\.zst)?$", re.IGNORECASE)
# The longest name that the usual file systems take.
_MOST_BYTES = 255


def is_aside(name: str) -> bool:
    """Whether a file with this name was set aside, so that no INPUT names it."""
    return name.startswith(_ASIDE)


def aside_name(prefix: str, source: str, end: int, name: str) -> str:
    """The hidden name of a source's file that has this name, at this end of the source. No other file ever gets it.

    `prefix` is the pipeline's TOPIC_PREFIX: another pipeline may read the same INPUT.
    """
    head = f"{_ASIDE}{source_digest(prefix, source)}-{end}-"
    # The name itself is there for people.
    kept = name.encode("utf-8", "surrogateescape")[: _MOST_BYTES - len(head)]
    return head + kept.decode("utf-8", "ignore")


def source_digest(prefix: str, source: str) -> str:
    """What the hidden names of a source's file have in common, in the pipeline of this TOPIC_PREFIX."""
    return blake2b(f"{prefix} {source}".encode(), digest_size=6).hexdigest()


def digest_in(name: str) -> str:
    """The `source_digest` in a hidden name, "" if there is none."""
    match = _ASIDE_NAME.fullmatch(name)
    return match[1] if match else ""


def numbered(name: str, number: int) -> str:
    """The name with this number: `a.csv`, `a~2.csv`, `a~3.csv` and so on."""
    if number == 1:
        return name
    suffix = _CSV_SUFFIX.search(name)
    at = suffix.start() if suffix else len(name)
    return f"{name[:at]}~{number}{name[at:]}"


def first_free(is_taken: Callable[[int], bool]) -> int:
    """A number from 1 on that is not taken, found in few steps: where they were taken in turn, the next one."""
    taken, free = 0, 1
    while is_taken(free):
        taken, free = free, 2 * free
    while free - taken > 1:
        between = (taken + free) // 2
        if is_taken(between):
            taken = between
        else:
            free = between
    return free
