"""Figures as lines for people, and as JSON for programs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import to_builtins

from common.escaping import printable
from ops.status.figures import Figures, StageFigures
from ops.status.observation import INGEST, SPLIT, Replica
from ops.status.source_figures import Delivery, SourceFigures
from ops.text_table import text_table

# Raised with every change that a program must not ignore.
VERSION = 1
_MOST_SHOWN = 10
_MOST_REPLICAS = 3
_MINUTE_S, _HOUR_S = 60, 3600
_UNKNOWN = "-"

_STAGE_HEADINGS = ("stage", "verdict", "rows", "rows/s", "waits", "time left", "replicas")
_SOURCE_HEADINGS = ("read", "rows", "time left", "delivery", "source")


def lines_of(found: Figures, where: str, *, shows_all: bool = False) -> Iterator[str]:
    """A table of the stages, and one of the sources, the first that are under way or all of them."""
    yield f"{where}: {found.verdict}"
    yield from stage_lines(found)
    yield ""
    yield sources_line(found)
    shown = _shown(found, shows_all=shows_all)
    if shown:
        yield from text_table(_SOURCE_HEADINGS, [_source_cells(each) for each in shown]).splitlines()
    if shown and (left := len(found.sources) - len(shown)):
        yield f"and {left:,} more (--all)"


def stage_lines(found: Figures) -> Iterator[str]:
    """A table of the stages, why those that do not go on do not, and why more may come."""
    yield from text_table(_STAGE_HEADINGS, [_stage_cells(stage) for stage in found.stages]).splitlines()
    for stage in found.stages:
        if stage.reason:
            yield printable(f"{stage.name}: {stage.reason}")
    if found.note:
        yield printable(f"more may come: {found.note}")


def sources_line(found: Figures) -> str:
    """How many sources there are and how they stand."""
    counts = ", ".join(f"{count:,} {delivery}" for delivery in Delivery if (count := found.count(delivery)))
    plural = "" if len(found.sources) == 1 else "s"
    return f"{len(found.sources):,} source{plural}{': ' if counts else ''}{counts}; {_sums(found)}"


def fields_of(found: Figures, prefix: str, *, shows_all: bool = False) -> dict[str, Any]:
    """As JSON."""
    return {
        **_head(prefix, found.at_ms),
        "over_s": round(found.over_s, 3),
        "verdict": found.verdict,
        "note": found.note,
        "stages": {stage.name: _stage_with_replicas(stage) for stage in found.stages},
        "sources": {
            "count": len(found.sources),
            **{delivery.replace(" ", "_"): found.count(delivery) for delivery in Delivery},
            "rows": found.rows,
            "rejected": dict(found.rejected),
            "first": [to_builtins(each) for each in _shown(found, shows_all=shows_all)],
        },
    }


def trouble_fields(trouble: str, prefix: str, at_ms: int) -> dict[str, Any]:
    """What takes the place of figures, as JSON, while there are none."""
    return {**_head(prefix, at_ms), "trouble": trouble}


def _head(prefix: str, at_ms: int) -> dict[str, Any]:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {"version": VERSION, "topic_prefix": prefix, "at": at}


def _shown(found: Figures, *, shows_all: bool) -> Sequence[SourceFigures]:
    if shows_all:
        return found.sources
    # Those that are under way come first, and of the others there is nothing to tell.
    return [each for each in found.sources[:_MOST_SHOWN] if each.delivery is Delivery.UNDER_WAY]


def stage_fields(stage: StageFigures) -> dict[str, Any]:
    """A stage's figures as JSON, without its replicas and partitions."""
    return {
        "verdict": stage.verdict,
        "reason": stage.reason,
        "rows": stage.rows,
        "rows_per_s": stage.rows_per_s,
        "lag_rows": stage.lag_rows,
        "lag_is_exact": stage.is_exact,
        "lag_bytes": stage.lag_bytes,
        "eta_s": stage.eta_s,
    }


def _stage_with_replicas(stage: StageFigures) -> dict[str, Any]:
    members = {"replicas": to_builtins(stage.replicas), "partitions": to_builtins(stage.partitions)}
    return {**stage_fields(stage), **members}


def _stage_cells(stage: StageFigures) -> Sequence[str]:
    if stage.lag_rows is None:
        waits = f"{stage.lag_bytes or 0:,} byte{'' if stage.lag_bytes == 1 else 's'}"
    else:
        waits = f"{'' if stage.is_exact else '~'}{stage.lag_rows:,} row{'' if stage.lag_rows == 1 else 's'}"
    pace = _UNKNOWN if stage.rows_per_s is None else f"{stage.rows_per_s:,.0f}"
    return (
        stage.name,
        stage.verdict,
        _number(stage.rows),
        pace,
        waits,
        duration(stage.eta_s),
        _replicas(stage.replicas),
    )


def _replicas(replicas: Sequence[Replica]) -> str:
    if not replicas:
        return "none"
    shown = "; ".join(f"{each.client} has {partitions_line(each.partitions)}" for each in replicas[:_MOST_REPLICAS])
    left = len(replicas) - _MOST_REPLICAS
    return f"{len(replicas)}: {shown}" + (f"; and {left} more" if left > 0 else "")


def partitions_line(partitions: Mapping[str, Sequence[int]]) -> str:
    """`categorized 0-2,5; rejected 0`."""
    named = [f"{topic} {ranges_of(numbers)}" for topic, numbers in sorted(partitions.items()) if numbers]
    return ", ".join(named) or "nothing to do"


def ranges_of(numbers: Sequence[int]) -> str:
    """Sorted numbers, in as few signs as possible: `0-2,5`."""
    ranges: list[tuple[int, int]] = []
    for number in numbers:
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in ranges)


def _sums(found: Figures) -> str:
    rejected = found.rejected
    text = f"{found.rows:,} row{'' if found.rows == 1 else 's'} read"
    if any(rejected.values()):
        text += f", {rejected[INGEST]:,} rejected by ingest, {rejected[SPLIT]:,} by splits"
    return text


def _source_cells(found: SourceFigures) -> Sequence[str]:
    # Not rounded up: 100 % is all of it.
    read = _UNKNOWN if found.percent is None else f"{int(found.percent)} %"
    return read, f"{found.rows:,}", duration(found.eta_s), found.delivery, found.source


def _number(number: int | None) -> str:
    return _UNKNOWN if number is None else f"{number:,}"


def duration(seconds: float | None) -> str:
    """As people say it: `3 s`, `5 min`, `1.2 h`."""
    if seconds is None:
        return _UNKNOWN
    if seconds < _MINUTE_S:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / _MINUTE_S:.0f} min" if seconds < _HOUR_S else f"{seconds / _HOUR_S:.1f} h"
