"""Text for records and log lines of what may be no Unicode, as a path may be."""

import re

_SURROGATE = re.compile("[\ud800-\udfff]")
# By which Python stands for a byte that is not UTF-8.
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF


def escaped(text: str) -> str:
    r"""The text with each byte that is not UTF-8 as \xff, and any other lone surrogate as \ud800."""
    return _SURROGATE.sub(lambda match: _shown(ord(match[0])), text)


def _shown(code: int) -> str:
    return f"\\x{code - 0xDC00:02x}" if _FIRST_BYTE <= code <= _LAST_BYTE else f"\\u{code:04x}"
