"""The keys of a category: of its rows in `categorized`, as `Sex=M`, `Sex+Rings=M+15` or `all`, and of its file. Pure.

A row's key is the split's name, `=`, and the category's parts between `+`; of a split without columns, its name alone.
A part is `~empty` for an empty field and `~blank` for the empty text. `%` and control characters become %XX, and so do
the `=` of a name, the `+` of a part, and its first `~`: no two categories share a key.
"""

import re

import orjson

Category = tuple[str | None, ...]

EMPTY = "~empty"
BLANK = "~blank"

_IN_SPLIT = re.compile(r"[%=\x00-\x1f\x7f]")
_IN_PART = re.compile(r"^~|[%+\x00-\x1f\x7f]")
_ESCAPE = re.compile(r"%([0-9A-F]{2})")


def file_key(schema: str, split: str, category: Category) -> bytes:
    """The key of a category's file in a ledger, as JSON; in format 1 also that of its rows."""
    # Copied, because keys are kept: orjson's result holds on to the 4 KB buffer that it was written in.
    return bytes(memoryview(orjson.dumps({"schema": schema, "split": split, "category": category})))


def parse_file_key(key: bytes) -> tuple[str, str, Category]:
    """Schema id, split name and category of a file's key."""
    fields = orjson.loads(key)
    return fields["schema"], fields["split"], tuple(fields["category"])


def row_key(split: str, category: Category) -> bytes:
    """The key of a category's rows, UTF-8; rows of different schemas share it."""
    name = _IN_SPLIT.sub(_escaped, split)
    return (f"{name}={'+'.join(map(_encode_part, category))}" if category else name).encode()


def parse_row_key(key: bytes) -> tuple[str, Category]:
    """Split name and category of a row's key. ValueError, one line, for what `row_key` never gives."""
    name, has_parts, rest = key.decode().partition("=")
    category = tuple(map(_decode_part, rest.split("+"))) if has_parts else ()
    split = _ESCAPE.sub(_unescaped, name)
    if row_key(split, category) != key:
        raise ValueError(f"a key of {len(key)} bytes is no key of a category: split did not write it")
    return split, category


def _encode_part(part: str | None) -> str:
    if part is None:
        return EMPTY
    return _IN_PART.sub(_escaped, part) if part else BLANK


def _decode_part(text: str) -> str | None:
    if text == EMPTY:
        return None
    return "" if text == BLANK else _ESCAPE.sub(_unescaped, text)


def _escaped(match: re.Match[str]) -> str:
    return f"%{ord(match[0]):02X}"


def _unescaped(match: re.Match[str]) -> str:
    return chr(int(match[1], 16))
