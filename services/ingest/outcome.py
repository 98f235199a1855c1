"""What a finished run reports of its sources, and the error that it ends with."""

from collections.abc import Mapping

from msgspec import Struct, field

from common.errors import AllRejectedError, ConfigurationError, SourceError

_MOST_REPORTED = 10


class Outcome(Struct):
    """The names of the sources; those that cannot be read, and why; and a line for each that has no row.

    `rejected_whole` are sources with every row rejected where MAX_REJECTED forbids it, `skipped_whole` those that
    SKIP_LINES leaves nothing of.
    """

    sources: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    rejected_whole: set[str] = field(default_factory=set)
    skipped_whole: set[str] = field(default_factory=set)


def check_outcome(outcome: Outcome) -> None:
    """Raise ServiceError for what the run could not read, or had to reject as a whole."""
    whole = sorted(outcome.rejected_whole)
    if outcome.skipped_whole and len(outcome.skipped_whole) == len(outcome.sources):
        # Where other sources have rows, the warning in the log is enough.
        raise ConfigurationError("\n".join(sorted(outcome.skipped_whole)[:_MOST_REPORTED]))
    if outcome.failed:
        raise SourceError("\n".join([_describe_unread(outcome.failed), *whole[:_MOST_REPORTED]]))
    if whole:
        others = len(whole) - _MOST_REPORTED
        more = [f"and {others} more sources like these"] if others > 0 else []
        raise AllRejectedError("\n".join([*whole[:_MOST_REPORTED], *more]))


def _describe_unread(failed: Mapping[str, str]) -> str:
    """One line on what was not read; the log has a line for each already."""
    plural = "1 source or folder was" if len(failed) == 1 else f"{len(failed):,} sources or folders were"
    others = len(failed) - _MOST_REPORTED
    more = [f"and {others:,} more, each in a line above"] if others > 0 else []
    return f"{plural} not read: {'; '.join([*list(failed.values())[:_MOST_REPORTED], *more])}"
