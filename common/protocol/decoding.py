"""What is common to reading all that other versions may have written. Pure."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def as_written() -> Iterator[None]:
    """Let whatever a foreign record leads to be a ValueError, which continues "a record is …"."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise ValueError(f"not one that Nacre writes ({error!r})") from error
