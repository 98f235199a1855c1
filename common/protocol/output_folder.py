"""What has a fixed name in OUTPUT_DIR, as paths below it: all else is named by its category."""

import re

# Whatever has it is an output folder; ledgers, locks and the folder's id are in it.
HIDDEN = ".nacre"
# Every partition's, as a glob.
LEDGERS = f"{HIDDEN}/*.ledger"
FOLDER_LOCK = f"{HIDDEN}/folder.lock"
# The rejected rows.
REJECTED_PATH = "rejected.csv"

_LEDGER = re.compile(r"(?P<prefix>.*)(?:categorized|rejected)-[0-9]+\.ledger")


def ledger_path(topic: str, partition: int) -> str:
    """Where the ledger of a topic's partition is."""
    return f"{HIDDEN}/{topic}-{partition}.ledger"


def lock_path(topic: str, partition: int) -> str:
    """Where the lock of a topic's partition is."""
    return f"{HIDDEN}/{topic}-{partition}.lock"


def prefix_of(name: str) -> str | None:
    """The TOPIC_PREFIX of the pipeline that a file in the hidden folder is of, None where it is no ledger."""
    match = _LEDGER.fullmatch(name)
    return match["prefix"] if match else None
