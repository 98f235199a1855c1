"""Whether a file's path says that it is a category's: names are read, never made. Pure.

A name is read by undoing its `%XX`; of one that was cut, the digest behind `~` has to be that of the whole text.
"""

import re
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from common.protocol.category_keys import Category

_PLACEHOLDER = re.compile(r"\{([a-z]+)\}")
_CUT = re.compile(r"(?P<begin>[^~]+)~(?P<digest>[0-9a-f]{32})", re.DOTALL)
_ROLLED = " (rolled)"
_NESTED = "{split}/{category}"
_WHOLE = "~all"


class NamedCategory(NamedTuple):
    """What a path has to say; `part` is 0 for a file that is never finished."""

    split: str
    category: Category
    part: int


class _Text(NamedTuple):
    """A piece of a path that stands for a text, None for an empty field."""

    value: str | None


class _Pattern(NamedTuple):
    """A piece of a path that looks like this."""

    value: str


_Piece = _Text | _Pattern


def numbers_in(path: str, rule: str, named: NamedCategory) -> set[int]:
    """The numbers of the schema that a path may say, if it is of this category by this rule; none if it is not.

    The rule is a ledger's: a PATH_TEMPLATE, perhaps with a mark that files are finished. The path is the final one,
    without the suffix of a packed file.
    """
    pieces = _pieces(rule.removesuffix(_ROLLED), named)
    return {int(number.removeprefix("~") or 1) for number in _numbers(path, pieces, "")}


def _pieces(template: str, named: NamedCategory) -> Sequence[_Piece]:
    category: list[_Piece] = []
    if named.category:
        for part in named.category:
            category += [_Pattern("/"), _Text(part)]
        del category[0]
    elif _NESTED in template:
        template, category = template.replace(_NESTED, "{category}"), [_Text(named.split)]
    else:
        category = [_Pattern(re.escape(_WHOLE))]
    values: dict[str, list[_Piece]] = {
        "split": [_Text(named.split)],
        "category": [*category, _Pattern(r"(?P<number>(?:~[1-9][0-9]*)?)")],
        "part": [_Pattern(f"{named.part:06}")],
        "date": [_Pattern(r"\d{4}-\d\d-\d\d")],
    }
    words = _PLACEHOLDER.split(template)
    pieces: list[_Piece] = [_Pattern(re.escape(words[0]))]
    for name, literal in zip(words[1::2], words[2::2], strict=True):
        pieces += [*values[name], _Pattern(re.escape(literal))]
    return pieces


def _numbers(path: str, pieces: Sequence[_Piece], number: str) -> Iterator[str]:
    """The schema's number in each way to read the path as these pieces."""
    if not pieces:
        if not path:
            yield number
        return
    piece, *rest = pieces
    if isinstance(piece, _Pattern):
        if (match := re.match(piece.value, path)) is not None:
            yield from _numbers(path[match.end() :], rest, match.groupdict().get("number", number))
        return
    last = path.find("/")
    for end in range(len(path) if last < 0 else last, 0, -1):
        if _says(path[:end], piece.value):
            yield from _numbers(path[end:], rest, number)


def _says(name: str, text: str | None) -> bool:
    """Whether a name stands for this text, None for an empty field."""
    if name in ("~empty", "~blank"):
        return text == (None if name == "~empty" else "")
    if not text:
        return False
    encoded = text.encode(errors="surrogatepass")
    if (cut := _CUT.fullmatch(name)) is not None:
        begins = encoded.startswith(_decoded(cut["begin"]))
        return begins and cut["digest"] == blake2b(encoded, digest_size=16).hexdigest()
    return "~" not in name and _decoded(name) == encoded


def _decoded(name: str) -> bytes:
    return re.sub(rb"%([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), name.encode(errors="surrogatepass"))
