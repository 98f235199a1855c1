"""Finding out how a file is written, by CleverCSV: the dialect that gives the most regular rows of known types.

(van den Burg, Nazábal, Sutton 2019, doi 10.1007/s10618-019-00646-y.)
"""

from common.schema import BOM

_DEFAULT_DELIMITER, _DEFAULT_QUOTE = b",", b'"'
# A letter for each byte that is not ASCII's, and for NUL.
_LETTERS = b"x" + bytes(range(1, 0x80)) + b"x" * 0x80


def sniff(sample: bytes) -> tuple[bytes, bytes]:
    """The delimiter and the quote that a sample seems to be written with; comma and double quote where none is seen."""
    # Imported here because it takes a quarter of a second, and only who asks for it should wait.
    from clevercsv.detect import Detector  # noqa: PLC0415

    # Only ASCII can be a delimiter or a quote here, and with fewer candidates it is much faster. NUL it does not take.
    text = "".join(map(chr, sample.removeprefix(BOM).translate(_LETTERS)))
    found = Detector().detect(text)
    delimiter = found.delimiter.encode() if found is not None and found.delimiter else _DEFAULT_DELIMITER
    quote = found.quotechar.encode() if found is not None and found.quotechar else _DEFAULT_QUOTE
    return delimiter, quote if quote != delimiter else b""
