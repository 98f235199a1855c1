"""The settings that a source was begun with, and which of them have changed."""

from collections.abc import Mapping, Sequence

from common.protocol.progress import Progress
from common.rows.schema import Dialect
from services.ingest.files.content import Content
from services.ingest.parsing.fingerprint import Fingerprint
from services.ingest.parsing.opening import find_opening
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.sampling import LONGEST_SAMPLE_BYTES

_AUTO = "auto"
_NAMES = {b"": "none", b"\t": "tab"}


def begun_with(options: ReadOptions, dialect: Dialect | None) -> dict[str, str]:
    """The settings that decide what a source's rows are; `auto` names the mark detected in this source."""
    delimiter, quote = (None, None) if dialect is None else (dialect.delimiter, dialect.quote)
    return {
        "HEADER": options.header,
        "SKIP_LINES": str(options.skip_lines),
        "DELIMITER": _describe_mark(options.delimiter, delimiter),
        "QUOTE": _describe_mark(options.quote, quote),
        "ENCODING": options.encoding,
        "ROW_FORMAT": options.row_format,
    }


def changes(begun: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Each setting that has changed, in words; none if the source was begun before settings were remembered.

    `auto` equals the mark that it detected; it also equals an `auto` in `now` that has detected nothing yet.
    """
    return tuple([_in_words(name, then, now[name]) for name, then in begun.items() if not _is_same(then, now[name])])


def find_changed_settings(content: Content, progress: Progress, options: ReadOptions) -> tuple[str, ...]:
    """Each setting that has changed since the source was begun, in words.

    A mark that was given then and is `auto` now is detected: it may be the same. OSError, SourceError if the source's
    beginning cannot be read.
    """
    now = begun_with(options, None)
    changed = changes(progress.begun, now)
    if changed and any(now[name] == _AUTO and not then.startswith(_AUTO) for name, then in progress.begun.items()):
        data = content.read_chunk(0, Fingerprint(), LONGEST_SAMPLE_BYTES)
        try:
            opening = find_opening(data, options, at_end=len(data) < LONGEST_SAMPLE_BYTES, hurry=True)
        except ValueError:
            return changed
        if opening is not None and opening.schema is not None:
            return changes(progress.begun, begun_with(options, opening.schema.dialect))
    return changed


def is_void(progress: Progress, options: ReadOptions) -> bool:
    """Whether all that was read of a source is void: the settings have changed, and no row of it went out."""
    return not progress.tally.rows and bool(changes(progress.begun, begun_with(options, None)))


def explain_changed_settings(progress: Progress, changed: Sequence[str]) -> str:
    """Say in one line why a source with rows under other settings is not read on, and what to do."""
    rows = f"{progress.tally.rows} row{'' if progress.tally.rows == 1 else 's'}"
    return (
        f"{progress.source}: {rows} of it went out under other settings ({'; '.join(changed)}): "
        "set them back to read on, put new rows into a file of their own, or begin again with another TOPIC_PREFIX and "
        "another OUTPUT_DIR"
    )


def _describe_mark(mark: bytes | None, found: bytes | None) -> str:
    if mark is not None:
        return _NAMES.get(mark, mark.decode("latin-1"))
    return _AUTO if found is None else f"{_AUTO} ({_describe_mark(found, None)})"


def _is_same(then: str, now: str) -> bool:
    return _detected(then) == _detected(now) or (now == _AUTO and then.startswith(_AUTO))


def _detected(described: str) -> str:
    return described.removeprefix(f"{_AUTO} (").removesuffix(")") if described.startswith(f"{_AUTO} (") else described


def _in_words(name: str, then: str, now: str) -> str:
    return f"{name} was {then} and is {now}"
