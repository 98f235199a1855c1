"""What SQLite says of a ledger, as an error that says what to do."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common.errors import ServiceError
from services.sink.disk.database_errors import failure_of, is_damage


@contextmanager
def clear_errors(ledger: Path) -> Iterator[None]:
    """Raise DiskError for what a person can mend while sink waits, ServiceError for what is damaged."""
    try:
        yield
    except sqlite3.IntegrityError as error:
        raise ServiceError(
            f"ledger {ledger}: two categories would share a file ({error}): set a PATH_TEMPLATE that keeps "
            "split and category apart with /, and another OUTPUT_DIR"
        ) from error
    except sqlite3.DatabaseError as error:
        if failure := failure_of(f"ledger {ledger}", error):
            raise failure from error
        if is_damage(error):
            raise ServiceError(
                f"ledger {ledger} is damaged ({error}): begin again with another OUTPUT_DIR, which gets "
                "everything that Kafka still has"
            ) from error
        raise
