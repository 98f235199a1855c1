"""The parts that a category's file has once files are finished: recognized, and joined again."""

import gzip
import re
from collections.abc import Mapping

import zstandard

_PART = re.compile(r"(?P<stem>.+)-(?P<part>[0-9]{6,})\.csv(?P<state>\.gz|\.zst|\.open)?")


def part_of(path: str) -> tuple[str, int] | None:
    """The file that this path would name without its number, and the number; None if it has none."""
    found = _PART.fullmatch(path)
    return None if found is None else (f"{found['stem']}.csv", int(found["part"]))


def unpacked(path: str, data: bytes) -> bytes:
    """The content, uncompressed if the file's name says that it is compressed."""
    if path.endswith(".gz"):
        return gzip.decompress(data)
    if path.endswith(".zst"):
        return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


def joined(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Each category's parts joined, as one file without a number would be. No part in between may be missing."""
    whole: dict[str, bytes] = {}
    parts: dict[str, int] = {}
    for path in sorted(files):
        part = part_of(path)
        assert part is not None, path
        name, number = part
        parts[name] = parts.get(name, 0) + 1
        assert number == parts[name]
        header, _, rows = unpacked(path, files[path]).partition(b"\n")
        whole[name] = whole.get(name, header + b"\n") + rows
    return whole
