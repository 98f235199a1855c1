"""Rows as they lie in a piece of bytes: a row is an object only once someone takes it out."""

from array import array
from collections.abc import Iterator, Sequence
from typing import overload

_BOUND_BYTES = 4
_ROW_BYTES = 2 * _BOUND_BYTES


class RowSpans(Sequence[bytes]):
    """Rows of `data`. `bounds` has where each begins and ends, as native uint32, which the compiled loops read."""

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
        at = range(len(self))[index]
        [row] = self[at : at + 1]
        return row

    def __iter__(self) -> Iterator[bytes]:
        bounds = array("I", self.bounds)
        return map(self.data.__getitem__, map(slice, bounds[::2], bounds[1::2]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, list | RowSpans) and list(self) == list(other)

    # As a list has none.
    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))
