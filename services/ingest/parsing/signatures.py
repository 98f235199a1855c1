"""What a file is by its first bytes, whatever its name says: compressed, or something that is no CSV.

Each decision needs only the first bytes, so it is the same however much has been written. If they could also begin a
CSV file, it is one: what may be a header is refused only if no column has such a name.
"""

import re
from enum import Enum, auto

from common.rows.schema import BOM

# Patterns are compiled with the first file that is looked at: a service with nothing to read does not pay for them.
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPED = rb"[\x50-\x5f]\x2a\x4d\x18"
# The longest of these.
MAGIC_BYTES = 4

_OTHERS = (
    (rb"PK(?:\x03\x04|\x05\x06|\x07\x08)", "a zip archive or an Excel workbook (.xlsx)"),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook (.xls)"),
    (rb"PAR1[\0-\x08\x0b\x0c\x0e-\x1f]", "a Parquet file"),
    (rb"ORC[\0-\x08\x0b\x0c\x0e-\x1f]", "an ORC file"),
    (rb"Obj\x01", "an Avro file"),
    (rb"ARROW1\0\0", "an Arrow file"),
    (rb"SQLite format 3\0", "a SQLite database"),
    (rb"%PDF-\d\.\d[ \t]*[\r\n]", "a PDF document"),
    (rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a[^\r\n]{0,9}\0", "an image"),
    (rb"\x7fELF", "a program"),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (rb"[^\r\n]{257}ustar(?:\0| {2}\0)", "a tar archive"),
    (rb"BZh[1-9]1AY&SY", "compressed by bzip2, which is not read"),
    (rb"\xfd7zXZ\0", "compressed by xz, which is not read"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (rb"Rar!\x1a\x07", "a RAR archive"),
    (rb"\x04\x22\x4d\x18", "compressed by lz4, which is not read"),
)
# A checkout has this in place of a file that was not fetched.
_POINTER = rb"version https://git-lfs\.github\.com/spec/v1\r?\n|/annex/objects/[^\r\n,]*+\r?\n"
_MARKED = ((b"\xff\xfe\0\0", "UTF-32"), (b"\0\0\xfe\xff", "UTF-32"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))
# A first line that is nothing else; or one with another tag after it, or a next line with a tag that is usual there.
_HTML = (
    rb"\s*+(?:<!doctype\s++html(?:\s*+>[ \t]*+[\r\n<]|\s++(?:public|system)\s[^\r\n]*+[\r\n])"
    rb"|<html(?:\s[^>]*+)?>(?:[ \t]*+<[a-z]|\s*+<(?:head|body|title|meta|!--)[\s>-])"
    rb"|<\?xml\s++version=[^>?\r\n]*+\?>[ \t]*+[\r\n<])"
)
# May still become HTML: the first line alone does not show it.
_MAYBE_HTML = rb"\s*+<html(?:\s[^>]*+)?>\s*+(?:<[a-z!-]{0,5}+)?\Z"
# An object, or a list of them, with its first name and the colon after it.
_JSON = rb'\s*+(?:\[\s*+)?\{\s*+"(?:[^"\\\r\n]|\\.)*+"\s*+:'
_MAYBE_JSON = rb'\s*+(?:\[\s*+)?(?:\{\s*+(?:"(?:[^"\\\r\n]|\\.)*+(?:"\s*+)?)?)?\Z'
# An encoding, how wide a code unit is, and where in it the byte of an ASCII character is.
_WIDE = (("UTF-32LE", 4, 0), ("UTF-32BE", 4, 3), ("UTF-16LE", 2, 0), ("UTF-16BE", 2, 1))
_MOST_LOOKED_AT = 4096


class Packed(Enum):
    """How a file is compressed."""

    GZIP = auto()
    ZSTD = auto()


def find_packed(first: bytes) -> Packed | None:
    """How a file with these first bytes, MAGIC_BYTES or all that there are, is compressed; None if it is not."""
    if first.startswith(_GZIP):
        return Packed.GZIP
    if first.startswith(_ZSTD) or re.match(_ZSTD_SKIPPED, first):
        return Packed.ZSTD
    return None


def find_foreign(data: bytes, *, at_end: bool) -> str | None:
    """Say why a source with this beginning is no CSV that can be read, and what to do; "" if it is one.

    None while there is too little of it.
    """
    if not at_end and any(len(data) < len(mark) and mark.startswith(data) for mark, _ in _MARKED):
        return None
    beginning = data[:_MOST_LOOKED_AT]
    if reason := _find_signature(beginning):
        return reason
    if not at_end and len(data) < _MOST_LOOKED_AT and re.match(_MAYBE_HTML, beginning.removeprefix(BOM), re.IGNORECASE):
        return None
    return _wide_unmarked(data, at_end=at_end)


def find_json(data: bytes, *, at_end: bool) -> str | None:
    """As find_foreign, for JSON, which may be rows but no header: ask only where a header is expected."""
    beginning = data[:_MOST_LOOKED_AT].removeprefix(BOM)
    if re.match(_JSON, beginning):
        return "it is JSON, perhaps an error message: fetch it again, or export it to CSV; HEADER=none takes it as rows"
    return None if not at_end and len(data) < _MOST_LOOKED_AT and re.match(_MAYBE_JSON, beginning) else ""


def _find_signature(beginning: bytes) -> str:
    for mark, name in _MARKED:
        if beginning.startswith(mark):
            return _wide(name)
    if find_packed(beginning) is not None:
        return "it is compressed twice: unpack it once"
    for signature, what in _OTHERS:
        if re.match(signature, beginning):
            return f"it is {what}: export or unpack it to CSV"
    if re.match(_POINTER, beginning):
        return "it is a pointer of Git LFS or git-annex, not the file that it stands for: fetch that"
    if re.match(_HTML, beginning.removeprefix(BOM), re.IGNORECASE):
        return "it is HTML or XML, perhaps the page of an error or a log-in: fetch it again, or export it to CSV"
    return ""


def _wide(name: str) -> str:
    return f"it is {name}, which is not read: convert it to UTF-8 first: iconv -f {name} -t UTF-8 OLD > NEW"


def _wide_unmarked(data: bytes, *, at_end: bool) -> str | None:
    """As find_foreign, for UTF-16 and UTF-32 without a byte order mark, by the first line."""
    end = data.find(b"\n", 0, _MOST_LOOKED_AT)
    if b"\0" not in data[: _MOST_LOOKED_AT if end < 0 else end + 1]:
        return ""
    if end < 0 and not at_end and len(data) < _MOST_LOOKED_AT:
        return None
    for name, width, ascii_at in _WIDE:
        # Where the code unit of LF begins, a line without one ends with the last whole unit.
        stop = len(data[:_MOST_LOOKED_AT]) // width * width if end < 0 else end - ascii_at
        line_feed = data[stop : stop + width] if end >= 0 else b""
        if stop <= 0 or stop % width or not "\n".encode(name).startswith(line_feed):
            continue
        if end >= 0 and len(line_feed) < width and not at_end:
            return None
        if _is_text(data[:stop], name):
            return _wide(name)
    return ""


def _is_text(units: bytes, name: str) -> bool:
    """Whether this is a line in such code units, with an ASCII character in it besides a line ending."""
    try:
        line = units.decode(name).removesuffix("\r")
    except UnicodeDecodeError:
        return False
    return any(map(str.isascii, line)) and all(sign.isprintable() or sign == "\t" for sign in line)
