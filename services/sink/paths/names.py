"""A category's file: one rule from split, category and schema to a path below the output folder, and back.

`Sex/M.csv`, `Sex+Rings/M/15.csv`; a split without columns has one file, `all.csv`. An empty field is `~empty`. Rows of
the source's second schema go to `M~2.csv`, of the third to `M~3.csv`.

Texts (names of splits, parts of categories) keep their letters, marks and digits of any script, the space, and
`+-_.,=@()[]#&'!`. Every other character becomes %XX for each byte of its UTF-8, and so do

- a leading dot, dash or space, and a trailing dot or space;
- the dot of a final `.csv` in any case: only files end with it, so no folder has a file's name;
- the first character of a Windows device's name (`%43ON`), of a `rejected` that would name a file at the top, where the
  file of rejected rows is, and of what would name a folder at the top as Nacre's own files are called, in any case
  (`%5Freceipts`, `%5FSUCCESS`, `%64atapackage.json`);
- letters outside ASCII that case folding changes to anything but their lower case (ß, ς), and marks and letters that
  are invisible or newer than Unicode 3.2, so that no newer Python gives a file another name;
- every character outside ASCII if the name would not be in NFC, because macOS takes canonically equivalent names for
  one.

The empty text is `~blank`. A text that encodes to more than 200 bytes is cut after at most 150, and `~` and the 32 hex
digits of the whole text's BLAKE2b follow: such names differ where the texts do, but cannot be read back. `~` has no
other use.

So no two files share a path, none is another's folder, and none lies outside the output folder or is hidden in it.
Known limit: letters keep their case, so on a file system that ignores case `m.csv` and `M.csv` are one file.
"""

import re
import unicodedata
from hashlib import blake2b

from common.protocol.category_keys import Category
from common.protocol.output_folder import is_reserved_folder

_SUFFIX = ".csv"
_EMPTY = "~empty"
_BLANK = "~blank"
NAME_LIMIT_BYTES = 200
# What a cut name leaves for `~` and the digest, and some more.
_CUT_BYTES = 50
_DIGEST_BYTES = 16
# At most nine digits, so that a schema's number is never taken for a digest.
_SCHEMA_NUMBER_LIMIT = 10**9

_SIMPLE = re.compile(r"[A-Za-z0-9+_,=@()\[\]#&'!]+")
_HARMLESS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 +-_.,=@()[]#&'!")
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u3164\ufe00-\ufe0f\uffa0]")
# CONIN$ and COM¹ are not needed here, because $ and ¹ are always escaped.
_DEVICE = re.compile(r"(?:con|prn|aux|nul|(?:com|lpt)[0-9]) *(?:\.|\Z)", re.IGNORECASE)
_REJECTED = "rejected"

_ESCAPES = re.compile(r"(?:%[0-9A-F]{2})+")
_STEM = re.compile(r"(?P<name>~?[^~]+)(?:~(?P<number>[1-9][0-9]{0,8}))?")
_CUT_NAME = re.compile(rf"[^~]+~[0-9a-f]{{{2 * _DIGEST_BYTES}}}(?:~[0-9]+)?")


def file_path(split: str, category: Category, schema_number: int) -> str:
    """The relative path, with `/`, of a category's file. `schema_number` counts a source's schemas from 1."""
    if not 1 <= schema_number < _SCHEMA_NUMBER_LIMIT:
        raise ValueError(f"no schema has the number {schema_number}: they count from 1")
    *folders, name = components(split, category)
    return "/".join([*folders, name + (f"~{schema_number}" if schema_number > 1 else "") + _SUFFIX])


def parse_path(path: str) -> tuple[str, Category, int]:
    """Read a path back into split, category and schema number.

    ValueError if `file_path` never gives the path, or has cut a name in it, of which there is only a digest.
    """
    *folders, file = path.split("/")
    stem = file.removesuffix(_SUFFIX)
    for name in (*folders, stem):
        if _CUT_NAME.fullmatch(name):
            raise ValueError(f"the name {name!r} in {path!r} was cut: what it stands for is in the file's rows only")
    match = _STEM.fullmatch(stem)
    if match is None:
        raise ValueError(f"{path!r} is no path of a category")
    number = int(match["number"] or 1)
    try:
        split, *category = (_decoded(name) for name in (*folders, match["name"]))
    except UnicodeDecodeError:
        raise ValueError(f"{path!r} is no path of a category") from None
    # Decoding accepts several spellings of a path; only the right one encodes to itself.
    if split is None or file_path(split, tuple(category), number) != path:
        raise ValueError(f"{path!r} is no path of a category")
    return split, tuple(category), number


def components(split: str, category: Category) -> list[str]:
    """Encode the folders and the file's stem, in this order. A split without columns has only the stem."""
    first = encoded(split)
    if is_reserved_folder(first) if category else first.lower() == _REJECTED:
        first = escaped_first(first)
    return [first, *map(encoded_part, category)]


def encoded_part(part: str | None, limit_bytes: int = NAME_LIMIT_BYTES) -> str:
    """Encode one column's value of a category, None for an empty field."""
    return _EMPTY if part is None else encoded(part, limit_bytes)


def encoded(text: str, limit_bytes: int = NAME_LIMIT_BYTES) -> str:
    """Encode a text as a folder's name or a file's stem of at most `limit_bytes`."""
    if _SIMPLE.fullmatch(text) and len(text) <= limit_bytes and not _DEVICE.match(text):
        return text
    if not text:
        return _BLANK
    # Each character gives at least a byte, so the rest, perhaps a megabyte, would be cut off anyway.
    pieces = _pieces(text[: limit_bytes + 1])
    name = "".join(pieces)
    return name if len(name.encode()) <= limit_bytes else _cut_name(text, pieces, limit_bytes - _CUT_BYTES)


def _pieces(text: str) -> list[str]:
    """Encode each character of a text, as itself or escaped."""
    pieces = [character if _passes(character) else _escaped(character) for character in text]
    for at in _misplaced(text):
        pieces[at] = _escaped(text[at])
    if not unicodedata.is_normalized("NFC", "".join(pieces)):
        pieces = [piece if piece.isascii() else _escaped(piece) for piece in pieces]
    return pieces


def _passes(character: str) -> bool:
    """Whether a character may stand for itself in some position."""
    if character.isascii():
        return character in _HARMLESS
    kind = unicodedata.ucd_3_2_0.category(character)
    if kind[0] not in "LM" and kind != "Nd":
        return False
    folded = character.casefold()
    return len(folded) == 1 and folded in (character, character.lower()) and not _INVISIBLE.match(character)


def _misplaced(text: str) -> list[int]:
    """The indices of the characters that may not stand for themselves in their positions."""
    last = len(text) - 1
    found = []
    if text[0] in ".- " or _DEVICE.match(text):
        found.append(0)
    if text[last] in ". ":
        found.append(last)
    if text.lower().endswith(_SUFFIX):
        found.append(len(text) - len(_SUFFIX))
    return found


def escaped_first(name: str) -> str:
    """Escape a name's first character."""
    return _escaped(name[0]) + name[1:]


def _escaped(text: str) -> str:
    """Escape every byte of a text, also of a lone surrogate, which comes from a setting that is not UTF-8."""
    return "".join(f"%{byte:02X}" for byte in text.encode(errors="surrogatepass"))


def _cut_name(text: str, pieces: list[str], room_bytes: int) -> str:
    """Shorten a long name to as many whole characters as there is room for, and the digest of the whole text."""
    kept, size = [], 0
    for piece in pieces:
        size += len(piece.encode())
        if size > room_bytes:
            break
        kept.append(piece)
    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{''.join(kept)}~{digest}"


def _decoded(name: str) -> str | None:
    """Decode a name that was not cut; None for an empty field."""
    if name == _EMPTY:
        return None
    if name == _BLANK:
        return ""
    return _ESCAPES.sub(lambda run: bytes.fromhex(run[0].replace("%", "")).decode(errors="surrogatepass"), name)
