"""What `nacre validate` shows: the sources, their schemas, the splits, what would be rejected, and the verdict."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from common.rows.schema_differences import dialect_traits, show_name
from ops.findings import Finding
from ops.findings_table import findings_table
from ops.validate.examination import CountedReason, ExaminedSource, RejectionSummary
from ops.validate.schemas import SchemaGroup, dissent
from ops.validate.splits import SplitOutcome

_SHOWN_SOURCES = 40
_SHOWN_COLUMNS = 100
_SHOWN_REASONS = 40
_SHOWN_OF_SCHEMA = 3
_SHOWN_TROUBLES = 10
_EVERY_SPLIT = "every split"


class Validation(Struct, frozen=True):
    """What `nacre validate` has found.

    `unread` has a line for each folder that cannot be listed, `left_out` one for each file that is not a source.
    `broker` has the findings on the broker, `departures` those on files that are to leave. `notes` point out what works
    but may not be intended.
    """

    input: str
    sources: Sequence[ExaminedSource]
    schemas: Sequence[SchemaGroup]
    splits: Sequence[SplitOutcome]
    unread: Sequence[str] = ()
    left_out: Sequence[str] = ()
    broker: Sequence[Finding] = ()
    departures: Sequence[Finding] = ()
    notes: Sequence[str] = ()


class Asked(Struct, frozen=True):
    """What `auto` had to detect, in words, and the ids of the schemas that earlier runs have left on the broker."""

    found_out: Sequence[str] = ()
    known: frozenset[str] = frozenset()


def findings(validation: Validation) -> list[Finding]:
    """What holds and what does not, a line each."""
    sources = validation.sources
    found = [Finding(holds=False, text=text) for text in _few(validation.unread)]
    if not sources:
        found.append(Finding(holds=False, text=f"there is no *.csv file at INPUT {validation.input}"))
    troubles = [source.trouble for source in sources if source.trouble]
    found += [Finding(holds=False, text=text) for text in _few(troubles)]
    rows, bad = sum(source.rows for source in sources), sum(source.rejections.count for source in sources)
    if bad:
        found.append(Finding(holds=False, text=f"{bad:,} of {rows + bad:,} rows cannot be read and would be rejected"))
    elif well := len(sources) - len(troubles):
        found.append(Finding(holds=True, text=f"{_count(rows, 'row')} in {_count(well, 'source')} can be read"))
    refusing = [split for split in validation.splits if split.rejections.count]
    found += [
        Finding(
            holds=False,
            text=f"split {split.name} would reject {_count(split.rejections.count, 'row')} of "
            f"{split.rows + split.rejections.count:,}",
        )
        for split in refusing
    ]
    if validation.splits and not refusing and sources:
        found.append(Finding(holds=True, text="every row has a category in each split"))
    return [*found, *validation.departures, *validation.broker]


def _few(texts: Sequence[str]) -> Iterator[str]:
    yield from texts[:_SHOWN_TROUBLES]
    if len(texts) > _SHOWN_TROUBLES:
        yield f"and {len(texts) - _SHOWN_TROUBLES:,} more like these"


def show(console: Console, validation: Validation, asked: Asked) -> None:
    """Print the report."""
    if validation.sources:
        _show_sources(console, validation)
    for group in validation.schemas:
        _show_schema(console, group, validation.schemas[0], asked)
    if sum(group.registered.schema.id not in asked.known for group in validation.schemas) > 1:
        console.print("note: ingest numbers new schemas as it finds them, which may be in another order\n")
    if validation.splits:
        console.print(_splits_table(validation.splits))
    reasons = list(_reasons(validation))
    if reasons:
        console.print(_reasons_table(reasons))
    no_text = [_note(reason) for source in validation.sources for reason in source.no_text.reasons]
    for note in _few(validation.left_out):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    for note in _few([*validation.notes, *no_text]):
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(findings_table(findings(validation)))


def _note(no_text: CountedReason) -> str:
    are = "is" if no_text.count == 1 else "are"
    where = f"{_count(no_text.count, 'row')} {are} {no_text.text}, the first at {no_text.locations[0]}"
    return f"{where}: bytes pass unchanged, but is ENCODING right?"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _table(*columns: str) -> Table:
    """An empty table; a column whose name begins with `>` holds numbers."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), header_style="dim")
    for name in columns:
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    return table


def _show_sources(console: Console, validation: Validation) -> None:
    numbers = {group.registered.schema.id: group.registered.number for group in validation.schemas}
    sources = validation.sources
    # If not all sources can be shown, those with trouble come first.
    shown = sources if len(sources) <= _SHOWN_SOURCES else sorted(sources, key=_is_well)[:_SHOWN_SOURCES]
    table = _table("source", ">rows", ">bad rows", ">schema")
    for source in shown:
        bad = Text(f"{source.rejections.count:,}", "bold red" if source.rejections.count else "")
        number = str(numbers[source.schema.id]) if source.schema is not None else "none"
        table.add_row(Text(source.name, "red" if source.trouble else ""), f"{source.rows:,}", bad, number)
    console.print(table)
    if len(shown) < len(sources):
        console.print(f"and {len(sources) - len(shown):,} more sources\n")


def _is_well(source: ExaminedSource) -> bool:
    return not source.trouble and not source.rejections.count


def _show_schema(console: Console, group: SchemaGroup, first: SchemaGroup, asked: Asked) -> None:
    schema = group.registered.schema
    delimiter, quote, eol, encoding = dialect_traits(schema)
    found_out = f" ({' and '.join(asked.found_out)} detected)" if asked.found_out else ""
    known = ", known from an earlier run" if schema.id in asked.known else ""
    console.print(
        f"schema {group.registered.number}{known}: {_count(len(schema.columns), 'column')}, delimiter {delimiter}, "
        f"quote {quote}, line ending {eol}, encoding {encoding}{found_out}",
        style="bold",
        markup=False,
        soft_wrap=True,
    )
    if group is not first:
        differs = "; ".join(group.differences) or "in nothing visible"
        console.print(f"  differs from schema {first.registered.number}: {differs}", markup=False, soft_wrap=True)
        names = ", ".join(source.name for source in group.sources[:_SHOWN_OF_SCHEMA])
        more = f" and {left:,} more" if (left := len(group.sources) - _SHOWN_OF_SCHEMA) > 0 else ""
        console.print(f"  rows of {names}{more} go to files of their own", markup=False, soft_wrap=True)
    notes = [dissent(group, index) for index in range(len(schema.columns))]
    table = _table(">#", "column", "type", ">empty", *(["but"] if any(notes) else []))
    for number, (name, fields, note) in enumerate(
        islice(zip(schema.columns, group.columns, notes, strict=True), _SHOWN_COLUMNS), start=1
    ):
        cells = [Text(note, "yellow")] if any(notes) else []
        table.add_row(str(number), Text(show_name(name)), fields.guess, f"{fields.empty:,}", *cells)
    console.print(table)
    if len(schema.columns) > _SHOWN_COLUMNS:
        console.print(f"and {len(schema.columns) - _SHOWN_COLUMNS:,} more columns\n")


def _splits_table(splits: Sequence[SplitOutcome]) -> Table:
    table = _table("split", ">files", ">rows", ">rejected", "files with most rows")
    for split in splits:
        files = f"{'' if split.complete else 'more than '}{split.files:,}"
        rejected = Text(f"{split.rejections.count:,}", "bold red" if split.rejections.count else "")
        text = Text()
        for path, rows in split.samples:
            text.append(path, "cyan").append(f" {rows:,}  ")
        if split.files > len(split.samples):
            text.append("…", "dim")
        table.add_row(Text(split.name, "bold"), files, f"{split.rows:,}", rejected, text)
    return table


def _reasons(validation: Validation) -> Iterator[tuple[str, CountedReason]]:
    """Why rows would be rejected, and by what: each split's reasons, and those that hold for every split."""
    by_source = ((_EVERY_SPLIT, source.rejections) for source in validation.sources)
    by_split = ((split.name, split.rejections) for split in validation.splits)
    for where, rejections in chain(by_source, by_split):
        for reason in rejections.reasons:
            yield where, reason
        left = _left(rejections)
        if left:
            yield where, CountedReason("other reasons", left, ())


def _left(rejections: RejectionSummary) -> int:
    return rejections.count - sum(reason.count for reason in rejections.reasons)


def _reasons_table(reasons: Sequence[tuple[str, CountedReason]]) -> Table:
    table = _table("rejected by", ">rows", "reason", "first lines")
    for where, reason in reasons[:_SHOWN_REASONS]:
        locations = ", ".join(reason.locations) + (", …" if reason.count > len(reason.locations) > 0 else "")
        table.add_row(Text(where), f"{reason.count:,}", Text(reason.text), Text(locations))
    if len(reasons) > _SHOWN_REASONS:
        left = sum(reason.count for _, reason in reasons[_SHOWN_REASONS:])
        table.add_row("", f"{left:,}", f"{len(reasons) - _SHOWN_REASONS:,} more reasons", "")
    return table
