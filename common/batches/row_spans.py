"""Rows as they lie in a piece of bytes: a row is an object only once someone takes it out."""

import struct
from array import array
from collections.abc import Iterator, Sequence
from typing import overload

_BOUNDS = struct.Struct("=II")
_ROW_BYTES = _BOUNDS.size


class RowSpans(Sequence[bytes]):
    """Rows of `data`. `bounds` has where each begins and ends, as native uint32: the compiled loops rely on it."""

    __slots__ = ("bounds", "data")

    def __init__(self, data: bytes, bounds: bytes) -> None:
        self.data = data
        self.bounds = bounds

    def __len__(self) -> int:
        return len(self.bounds) // _ROW_BYTES

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> "RowSpans": ...
    def __getitem__(self, index: int | slice) -> "bytes | RowSpans":
        if isinstance(index, slice):
            first, stop, step = index.indices(len(self))
            if step != 1:
                raise ValueError("rows are taken one after the other")
            return RowSpans(self.data, self.bounds[first * _ROW_BYTES : stop * _ROW_BYTES])
        begin, end = _BOUNDS.unpack_from(self.bounds, range(len(self))[index] * _ROW_BYTES)
        return self.data[begin:end]

    def __iter__(self) -> Iterator[bytes]:
        bounds = array("I", self.bounds)
        return map(self.data.__getitem__, map(slice, bounds[::2], bounds[1::2]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list | RowSpans) and list(self) == list(other)

    # As a list has none.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
