"""What to do with a followed file at one look, from its size and times and how far it is read."""

from enum import Enum, auto

from msgspec import Struct

from common.protocol.progress import Progress
from services.ingest.parsing.expected import Expected


class Stamp(Struct, frozen=True):
    """What shows that a file changed: which file it is, its size, and when its content, or anything of it, changed."""

    file: str
    size: int
    changed_at_ns: int
    touched_at_ns: int


class EndRules(Struct, frozen=True):
    """When a file that does not grow has ended, and when its half row is taken, in seconds after it last grew."""

    once: bool
    settle_s: float
    unterminated_s: float

    @property
    def half_row_s(self) -> float:
        """How long the file's last row waits for its line ending."""
        return max(self.settle_s, self.unterminated_s)


class ReadStep(Enum):
    """What to do with the file next."""

    # Compressed and still being written to: it can be read only as a whole.
    WAIT = auto()
    # Everything is read.
    REST = auto()
    READ = auto()


class Look(Struct, frozen=True):
    """A file as it is now, `rest_s` after it grew.

    `known` is its stamp when its content was last seen to be the source's. `holds_header`: the unread end of it is a
    header without its line ending.
    """

    progress: Progress
    stamp: Stamp
    known: Stamp | None
    is_packed: bool
    rest_s: float
    holds_header: bool
    rules: EndRules

    @property
    def _is_read(self) -> bool:
        return self.progress.ended and self.progress.size == self.stamp.size

    @property
    def _has_settled(self) -> bool:
        return self.rules.once or self.rest_s >= self.rules.settle_s

    @property
    def is_growing(self) -> bool:
        """Whether the file, compressed, is still being written to."""
        is_known = self._is_read and self.stamp == self.known
        return self.is_packed and not self._has_settled and not is_known

    @property
    def is_suspect(self) -> bool:
        """Whether to check that the content is still the source's: it was touched, or the file is another one."""
        if self.known is None or self.stamp == self.known:
            return False
        return self._is_read or self.stamp.file != self.known.file

    @property
    def step(self) -> ReadStep:
        """What to do next; if the content is suspect, after a check that it is the source's."""
        if self.is_growing:
            return ReadStep.WAIT
        # What is left is a header without its line ending, which may have been rewritten.
        is_left = not self.is_packed and self.progress.offset < self.stamp.size
        is_same_header = self.holds_header and self.stamp == self.known
        return ReadStep.REST if self._is_read and (not is_left or is_same_header) else ReadStep.READ

    def expected(self, *, to_its_end: bool) -> Expected:
        """How much more of the file is expected once it is read, to its end or not."""
        if not to_its_end or not self._has_settled:
            return Expected.MORE
        is_final = self.rules.once or self.is_packed or self.rest_s >= self.rules.half_row_s
        return Expected.NOTHING if is_final else Expected.NOT_NOW
