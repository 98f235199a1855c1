"""Excel's first line, `sep=;`, which names the delimiter: Excel writes and obeys it, and nothing else does."""

import re

from msgspec.structs import replace

from common.rows.schema import BOM
from services.ingest.parsing.encodings import check_mark, find_encoding
from services.ingest.parsing.options import ReadOptions

_SEP_LINE = re.compile(rb"(?:%b)?+\"?sep=(.)\"?(\r\n|[\r\n]|\Z)" % BOM, re.IGNORECASE)
_SEP_BYTES = len(BOM) + len(b'"sep=;"\r\n')


def find_sep_line(data: bytes, options: ReadOptions) -> tuple[ReadOptions, int]:
    """The options with the delimiter that the first line names, and where that line ends; 0 if it names none.

    ValueError where the delimiter is not to be detected, or is none.
    """
    named = None if options.skip_lines else _SEP_LINE.match(data)
    return (options, 0) if named is None else (_obey(options, named[1]), named.end())


def may_become_sep_line(data: bytes) -> bool:
    """Whether the first line may be Excel's, and its rest has not come."""
    if len(data) >= _SEP_BYTES:
        return False
    line = data.removeprefix(BOM).lstrip(b'"').lower()
    return line[:4] == b"sep="[: len(line)] and b"\n" not in line and b"\r" not in line[:-1]


def _obey(options: ReadOptions, mark: bytes) -> ReadOptions:
    """The options with this delimiter. ValueError where the delimiter is not to be detected, or is none."""
    name = mark.decode("latin-1")
    if options.delimiter is not None:
        raise ValueError(
            f"its first line is Excel's sep={name}: set DELIMITER=auto, which obeys it, or SKIP_LINES=1 and DELIMITER"
        )
    try:
        check_mark(name, "tab")
    except ValueError:
        raise ValueError(f"its first line is Excel's sep={name}, which names no delimiter: set SKIP_LINES=1") from None
    if find_encoding(options.encoding).holds(mark):
        raise ValueError(
            f"its first line is Excel's sep={name}, which may be part of a character in ENCODING={options.encoding}: "
            "convert it to utf-8"
        )
    return replace(options, delimiter=mark)
