"""`nacre validate INPUT`: what ingest, split and sink would make of some files, reported before anything is sent."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import structlog
from msgspec.structs import replace
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from common.errors import ConfigurationError, SourceError
from common.pipeline.registry import find_oversize
from common.pipeline.schema_numbers import Registered, number_schema
from common.rows.schema import Schema
from common.setting import setting
from common.settings import ServiceSettings
from common.settings_reader import read_settings
from ops.command_line import write_out
from ops.findings import Finding, shown_path
from ops.validate.begun import as_sources, judge_begun
from ops.validate.broker import Broker, ask_broker, judge_broker
from ops.validate.examination import (
    ExaminedChunk,
    ExaminedSource,
    ReadPosition,
    examine_chunk,
    with_chunk,
    wrong_quotes,
)
from ops.validate.schemas import group_by_schema
from ops.validate.screen import Asked, Validation, findings, show
from ops.validate.splits import SplitTally
from services.ingest.after_delivery import find_format_misfit, find_hindrances
from services.ingest.context import find_skipped_whole, too_long
from services.ingest.files.content import Content, content_of
from services.ingest.files.finding import find_files, is_stream
from services.ingest.files.reading import CHUNK_BYTES, fit_chunk
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.settings import IngestSettings
from services.split.categories.columns import doubled_columns
from services.split.categories.splits import parse_split_by
from services.split.settings import SplitSettings

_PROGRAM = "nacre validate"
_INTERRUPTED = 130
# The width without a terminal: nothing is wrapped.
_WIDTH = 100_000


def _checked_splits(text: str) -> str:
    if text:
        parse_split_by(text)
    return text


@dataclass(frozen=True, kw_only=True)
class ValidateSettings(IngestSettings, SplitSettings):
    """Report what the services would make of some files, before anything is sent: settings as for ingest and split.

    Exit code 0: all is well. 1: something would be rejected, cannot be read or does not fit. 78: a setting is wrong.
    """

    examples: ClassVar[tuple[str, ...]] = ("data/ --split-by Sex,Rings:int", "data/ --delimiter auto --no-broker")

    input: str = setting(description="a file, a folder (as for ingest) or a glob; also positional")
    split_by: str = setting(
        "", description="the splits, as for split; not set: only the sources are examined", check=_checked_splits
    )
    no_broker: bool = setting(default=False, description="true: ask no broker whether everything fits", is_toggle=True)


def main(argv: list[str]) -> int:
    """Examine the input and print the report; return 0 if all is well, 1 if not, 78 for a wrong setting."""
    _keep_quiet()
    try:
        settings = read_settings(ValidateSettings, argv, program=_PROGRAM, positional="input")
        return _run(settings)
    except ConfigurationError as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f"{_PROGRAM}: interrupted\n")
        return _INTERRUPTED


def _keep_quiet() -> None:
    """Drop the clients' logs: what matters is in the report."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("aiokafka").propagate = False
    # Replace characters that the terminal's encoding lacks rather than fail.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # both are text files here


def _run(settings: ValidateSettings) -> int:
    if is_stream(settings.input):
        raise ConfigurationError(
            f"INPUT {settings.input} can be read only once, and ingest has to read it: name a file"
        )
    found = find_files(settings.input, without=settings.delivered_folder)
    broker = Broker() if settings.no_broker else asyncio.run(ask_broker(settings))
    validation = _examine(settings, list(found.files.values()), broker)
    validation = replace(
        validation,
        unread=[f"cannot read {error.filename}: {error.strerror}" for error in found.errors],
        left_out=[f"{shown_path(Path(path))} is left out: it is {why}" for path, why in sorted(found.left_out.items())],
    )
    validation = replace(validation, departures=_judge_departures(settings, found.files.values(), broker))
    if not settings.no_broker:
        longest_bytes = max((source.longest_bytes for source in validation.sources), default=0)
        begun = judge_begun(as_sources(found.files, broker.locations), broker.progress, settings.read_options)
        validation = replace(validation, broker=[*begun, *judge_broker(broker, settings, longest_bytes)])
    found_out = [name for name in ("delimiter", "quote") if getattr(settings.read_options, name) is None]
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)
    with console.capture() as captured:
        show(console, validation, Asked(found_out, frozenset(broker.schemas)))
    # Tables are padded to their width: strip the trailing blanks.
    write_out("\n".join(line.rstrip() for line in captured.get().split("\n")))
    return 0 if all(finding.holds for finding in findings(validation)) else 1


def _judge_departures(settings: ValidateSettings, files: Iterable[Path], broker: Broker) -> list[Finding]:
    """Whether files can leave INPUT as AFTER_DELIVERY says."""
    begun = broker.found.begun
    hindrances = find_hindrances(settings, files)
    if begun is not None and (hindrance := find_format_misfit(settings, begun.format)):
        hindrances.append(hindrance)
    if hindrances or settings.action.keeps:
        return [Finding(holds=False, text=hindrance) for hindrance in hindrances]
    return [Finding(holds=True, text=f"files may leave INPUT (AFTER_DELIVERY={settings.after_delivery})")]


def _examine(settings: ValidateSettings, files: Sequence[Path], broker: Broker) -> Validation:
    """Read all files, one after the other."""
    splits = parse_split_by(settings.split_by) if settings.split_by else ()
    tallies = [SplitTally(split) for split in splits]
    known: dict[str, Registered] = dict(broker.schemas)
    with _progress() as progress:
        task = progress.add_task("reading", total=sum(map(_size, files)))
        advance = partial(progress.advance, task)
        sources = [_examine_file(settings, path, tallies, known, advance) for path in files]
    outcomes = [tally.outcome(known) for tally in tallies]
    groups = group_by_schema(sources, known)
    doubled = [
        f"split {split.name}, schema {group.registered.number}: {line}"
        for group in groups
        for split in splits
        for line in doubled_columns(split, group.registered.schema)
    ]
    notes = [f"{source.name}: {note}" for source in sources for note in source.notes]
    return Validation(settings.input, sources, groups, outcomes, notes=[*notes, *doubled])


def _examine_file(
    settings: ValidateSettings,
    path: Path,
    tallies: Sequence[SplitTally],
    known: dict[str, Registered],
    advance: Callable[[int], None],
) -> ExaminedSource:
    """Read a file as ingest does, and count its rows in each split."""
    source, position = ExaminedSource(shown_path(path)), ReadPosition()
    try:
        for chunk, waiting_bytes in _examined_chunks(content_of(path), source.name, settings):
            if position.schema is None and chunk.position.schema is not None:
                _check_length(source.name, chunk.position.schema, settings)
                source = replace(source, notes=wrong_quotes(chunk.trouble))
            source, position = with_chunk(source, chunk), chunk.position
            if waiting_bytes:
                waiting = f"its header waits, {waiting_bytes} bytes: ingest needs more to decide how to read it"
                source = replace(source, notes=(*source.notes, waiting))
            if position.schema is not None:
                registered = known[position.schema.id] = number_schema(known, position.schema)
                for tally in tallies:
                    tally.add(source.name, registered, chunk)
            advance(chunk.used)
        lines, skip_lines = position.line - 1, settings.skip_lines
        left = find_skipped_whole(source.name, skip_lines, lines=lines, has_schema=position.schema is not None)
        return replace(source, trouble=left)
    except OSError as error:
        return replace(source, trouble=f"{source.name} cannot be read: {error.strerror}")
    except SourceError as error:
        return replace(source, trouble=str(error))
    except ValueError as error:
        return replace(source, trouble=f"{source.name}: its beginning cannot be read: {error}")


def _examined_chunks(content: Content, name: str, settings: ValidateSettings) -> Iterator[tuple[ExaminedChunk, int]]:
    """Read in chunks, holding one line at most: each chunk, and how many bytes after the last one wait for more."""
    position, fingerprint, chunk_bytes = ReadPosition(), Fingerprint(), CHUNK_BYTES
    at_end = False
    while not at_end:
        data = content.read_chunk(position.offset, fingerprint, chunk_bytes)
        is_last = len(data) < chunk_bytes
        chunk = examine_chunk(
            data, position, settings.read_options, at_end=is_last, max_row_bytes=settings.max_row_bytes
        )
        waits = is_last and not chunk.used
        # An opening takes a limited number of blank lines, so the end may take several chunks.
        at_end = waits or (is_last and chunk.used == len(data))
        fingerprint, position = fingerprint.after(data[: chunk.used]), chunk.position
        yield chunk, len(data) if waits else 0
        chunk_bytes = fit_chunk(chunk_bytes, name, position.line, position.offset, stuck=not chunk.used and not is_last)


def _check_length(source: str, schema: Schema, settings: ServiceSettings) -> None:
    if excess := find_oversize(schema, settings):
        raise SourceError(too_long(source, excess))


def _progress() -> Progress:
    """A bar on a terminal, removed once all is read."""
    console = Console(stderr=True)
    bar = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    return Progress(*bar, console=console, transient=True, disable=not console.is_terminal)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
