"""Whether ingest has finished, judged by the topic `progress`, and what its runs have read. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from common.protocol.progress import Progress, Run

# Standard input belongs to no partition's run: its progress alone says when it ends.
STANDARD_INPUT_PREFIX = "stdin-"
_SHOWN = 3
_LONGEST_SHOWN = 300


def explain_open(sources: Mapping[str, Progress], runs: Mapping[int, Run], partitions: int) -> str:
    """Say in one line why ingest may send more; "" when it has ended, as far as can be known.

    A finite run is over when every partition is done in the same round: no source is read any further then. If ingest
    follows its input, or only standard input was read, every known source must have ended.
    """
    if not runs and not sources:
        return "ingest has not begun: it is not started, or has not reached a broker yet"
    if any(run.state == "reads" for run in runs.values()):
        return "a run of ingest with ONCE has begun and has not ended: if it no longer runs, start it again"
    if runs and (len(runs) < partitions or len({run.round for run in runs.values()}) > 1):
        return "ingest is beginning: not all of its partitions are taken up"
    is_over = bool(runs) and all(run.state == "done" for run in runs.values())
    if not sources and not is_over:
        return "ingest has found no source yet, and keeps looking"
    if waited_for := [
        progress.source for progress in _unended(sources) if not is_over or _is_standard_input(progress.source)
    ]:
        return f"{_count(len(waited_for), 'source has', 'sources have')} not ended: {_few(waited_for)}"
    return ""


def describe_run(sources: Mapping[str, Progress], runs: Mapping[int, Run]) -> dict[str, Any]:
    """What all runs so far have read, as fields of a log line: sources, rows, rejected rows, and sources not read."""
    unread = sum(run.unread for run in runs.values())
    skipped = sum(run.skipped for run in runs.values())
    # If other sources have rows, the line in ingest's log is enough. Otherwise the setting is wrong.
    unread += skipped if skipped == len(sources) else 0
    why = max(runs.values(), key=lambda run: (run.unread > 0, run.skipped > 0)).why if runs else ""
    unended = [progress.source for progress in sources.values() if not progress.ended]
    fields: dict[str, Any] = {
        "sources": len(sources),
        "rows": sum(progress.tally.rows for progress in sources.values()),
        "rejected_by_ingest": sum(progress.rejected for progress in sources.values()),
    }
    if unread or unended:
        fields["unread"] = max(unread, len(unended))
        fields["first_unread"] = why or unended[0]
    return fields


def shortened(reason: str) -> str:
    """The reason, cut to 300 characters to fit into a record and a line."""
    return reason if len(reason) <= _LONGEST_SHOWN else reason[: _LONGEST_SHOWN - 1] + "…"


def _unended(sources: Mapping[str, Progress]) -> Iterable[Progress]:
    return (progress for progress in sources.values() if not progress.ended and not progress.given_up)


def _is_standard_input(source: str) -> bool:
    return source.startswith(STANDARD_INPUT_PREFIX)


def _few(names: list[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
