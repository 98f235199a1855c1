"""The fixed names in OUTPUT_DIR, as paths below it. Every other file is named by its category."""

import re
from types import MappingProxyType

# A folder that has this one is an output folder. It holds ledgers, locks and the output folder's id.
HIDDEN = ".nacre"
# The ledgers of all partitions, as a glob.
LEDGERS = f"{HIDDEN}/*.ledger"
FOLDER_LOCK = f"{HIDDEN}/folder.lock"
# How far receipts are posted to ON_DELIVERY.
POSTED = f"{HIDDEN}/posted.json"
# How the names of temporary files begin. They have them for an instant only.
TEMPORARY = f"{HIDDEN}/temporary-"
# The rejected rows.
REJECTED_PATH = "rejected.csv"
# The folder of receipts, and what is written of the whole folder.
RECEIPTS = "_receipts"
MANIFEST = "manifest-sha256.txt"
PACKAGE = "datapackage.json"
SUCCESS = "_SUCCESS"
OF_THE_FOLDER = (MANIFEST, PACKAGE, SUCCESS)
# By what PROOFS calls them.
PROOFS = MappingProxyType({"receipts": RECEIPTS, "manifest": MANIFEST, "datapackage": PACKAGE, "success": SUCCESS})
# Behind the name of a file that is being written.
UNDER_WAY = ".tmp"

# No category's file is, or is in, one of these, in any case.
RESERVED = frozenset({HIDDEN, RECEIPTS, *OF_THE_FOLDER, *(name + UNDER_WAY for name in OF_THE_FOLDER)})
_RESERVED_IN_ANY_CASE = frozenset(name.lower() for name in RESERVED)

_LEDGER = re.compile(r"(?P<prefix>.*)(?:categorized|rejected)-[0-9]+\.ledger")


def ledger_path(topic: str, partition: int) -> str:
    """Where the ledger of a topic's partition is."""
    return f"{HIDDEN}/{topic}-{partition}.ledger"


def lock_path(topic: str, partition: int) -> str:
    """Where the lock of a topic's partition is."""
    return f"{HIDDEN}/{topic}-{partition}.lock"


def is_reserved(path: str) -> bool:
    """Whether a path below OUTPUT_DIR belongs to Nacre itself: it is no category's, and not that of rejected rows."""
    return path.partition("/")[0] in RESERVED


def is_ledger_of(name: str, prefix: str) -> bool:
    """Whether a file of this name is a ledger of the pipeline with this TOPIC_PREFIX."""
    return prefix_of(name) == prefix


def is_reserved_folder(name: str) -> bool:
    """Whether no folder of a category may have this name at the top: it is Nacre's own where case is ignored."""
    return name.lower() in _RESERVED_IN_ANY_CASE


def prefix_of(name: str) -> str | None:
    """The TOPIC_PREFIX in the name of a ledger; None if a file of this name is no ledger."""
    match = _LEDGER.fullmatch(name)
    return match["prefix"] if match else None
