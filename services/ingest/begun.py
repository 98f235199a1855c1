"""The settings that a source was begun with, and which of them are others now."""

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
    """What decides what a source's rows are, by setting; `auto` with what it has found in this source."""
    delimiter, quote = (None, None) if dialect is None else (dialect.delimiter, dialect.quote)
    return {
        "HEADER": options.header,
        "SKIP_LINES": str(options.skip_lines),
        "DELIMITER": _told(options.delimiter, delimiter),
        "QUOTE": _told(options.quote, quote),
        "ENCODING": options.encoding,
        "ROW_FORMAT": options.row_format,
    }


def changes(begun: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """Each setting that is another now, in words; none where a source is begun before this was remembered.

    `auto` and what it found say the same; so do two that are found out anew, where `now` does not say what is found.
    """
    return tuple([_in_words(name, then, now[name]) for name, then in begun.items() if not _is_same(then, now[name])])


def find_changes(content: Content, progress: Progress, options: ReadOptions) -> tuple[str, ...]:
    """Each setting that a source was begun with and that is another now, in words.

    Where a mark was given that is to be found out now, that is done: it may be the same. OSError, SourceError where
    the source's beginning cannot be read.
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
    """Whether what was read of a source counts no more: no row of it went out, and the settings are others now."""
    return not progress.tally.rows and bool(changes(progress.begun, begun_with(options, None)))


def refusal(progress: Progress, changed: Sequence[str]) -> str:
    """Why a source that has rows under other settings is not read on, and what to do."""
    rows = f"{progress.tally.rows} row{'' if progress.tally.rows == 1 else 's'}"
    return (
        f"{progress.source}: {rows} of it went out under other settings ({'; '.join(changed)}): "
        "set them back to read it on, give what is new a file of its own, or begin again with another TOPIC_PREFIX and "
        "another OUTPUT_DIR"
    )


def _told(mark: bytes | None, found: bytes | None) -> str:
    if mark is not None:
        return _NAMES.get(mark, mark.decode("latin-1"))
    return _AUTO if found is None else f"{_AUTO} ({_told(found, None)})"


def _is_same(then: str, now: str) -> bool:
    return _found(then) == _found(now) or (now == _AUTO and then.startswith(_AUTO))


def _found(told: str) -> str:
    return told.removeprefix(f"{_AUTO} (").removesuffix(")") if told.startswith(f"{_AUTO} (") else told


def _in_words(name: str, then: str, now: str) -> str:
    return f"{name} was {then} and is {now}"
