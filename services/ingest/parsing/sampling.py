"""How much of a source is looked at to detect its dialect."""

from common.rows.schema import Dialect
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.patterns import ENDING
from services.ingest.parsing.sniffing import find_dialect

# The sample, unless it has few lines (then more) or many (then less): a larger one costs time and changes nothing.
SAMPLE_BYTES = 16_384
_FEW_LINES, _MANY_LINES = 20, 400
LONGEST_SAMPLE_BYTES = 2**17


def choose_dialect(data: bytes, options: ReadOptions, *, at_end: bool, hurry: bool) -> Dialect | None:
    """The dialect that is given, or that the data seem to be written with; None while there is too little to tell."""
    if options.delimiter is not None and options.quote is not None:
        return Dialect(options.delimiter, options.quote, encoding=options.encoding)
    size = _sample_size(data)
    if size is None:
        if not at_end and not hurry:
            return None
        size = len(data)
    found = find_dialect(
        data[:size],
        delimiter=options.delimiter,
        quote=options.quote,
        encoding=options.encoding,
        headed=options.header == "first",
        whole=at_end and size == len(data),
    )
    return None if found is None else found.dialect


def _sample_size(data: bytes) -> int | None:
    """How much of the data is looked at, whole lines; None where there is not enough yet."""
    end = 0
    for number, ending in enumerate(ENDING.finditer(data[:LONGEST_SAMPLE_BYTES]), start=1):
        end = ending.end()
        if number >= _MANY_LINES or (number >= _FEW_LINES and end >= SAMPLE_BYTES):
            return end
    return (end or LONGEST_SAMPLE_BYTES) if len(data) >= LONGEST_SAMPLE_BYTES else None
