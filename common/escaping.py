"""Text that may not be valid Unicode, such as a path, made fit for records and log lines."""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
# With these surrogates Python represents a byte that is not UTF-8.
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF


def escaped(text: str) -> str:
    r"""The text with each byte that is not UTF-8 as \xff, and any other lone surrogate as \ud800."""
    return _SURROGATE.sub(lambda match: _shown(ord(match[0])), text)


def printable(text: str) -> str:
    """The text with an escape for every character that is not printable: a line break, one that a terminal obeys."""
    return text if text.isprintable() else "".join(map(_printable, text))


def _printable(sign: str) -> str:
    return sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode()


def _shown(code: int) -> str:
    return f"\\x{code - 0xDC00:02x}" if _FIRST_BYTE <= code <= _LAST_BYTE else f"\\u{code:04x}"
