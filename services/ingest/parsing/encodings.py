"""Encodings in which rows can be framed without decoding them: ASCII's bytes stand for themselves."""

import codecs
from functools import cache

from msgspec import Struct

_ASCII = bytes(range(0x80))


class Encoding(Struct, frozen=True):
    """An encoding by Python's name, and the ASCII bytes that also occur within other characters."""

    name: str
    inner: frozenset[int]

    def holds(self, mark: bytes) -> bool:
        """Whether this byte may be part of another character."""
        return mark[0] in self.inner


@cache
def find_encoding(name: str) -> Encoding:
    """The encoding of this name. ValueError if rows cannot be framed in it."""
    try:
        known = codecs.lookup(name).name
        if known == "utf-8":
            # UTF-8 has none by design; trying each byte would take a twentieth of the time to start.
            return Encoding(known, frozenset())
        # A codec from bytes to bytes, like hex, has no text.
        is_ascii = _ASCII.decode(known) == _ASCII.decode("ascii")
    except (LookupError, UnicodeError, ValueError):
        is_ascii = False
    if not is_ascii or _is_inner(known, 0x0A) or _is_inner(known, 0x0D):
        raise ValueError("no encoding whose rows can be told apart by their bytes; convert to utf-8, or name another")
    return Encoding(known, frozenset(byte for byte in range(0x80) if _is_inner(known, byte)))


def check_mark(text: str, words: str) -> None:
    """ValueError unless the text is one ASCII character that can delimit or quote fields."""
    if len(text) != 1 or not text.isascii() or text.isalnum() or text in "\r\n\0":
        raise ValueError(f"neither one ASCII character that is no letter or digit, nor {words}")


def _is_inner(name: str, byte: int) -> bool:
    """Whether some byte beyond ASCII begins a character that this ASCII byte ends."""
    for first in range(0x80, 0x100):
        try:
            text = bytes((first, byte)).decode(name)
        except UnicodeError:
            continue
        if len(text) == 1:
            return True
    return False
