"""A file being followed: where it is, when to look at it, and what trouble it is in."""

import errno
import math
import time
from enum import Enum, auto
from pathlib import Path

from common.errors import SourceError
from common.kafka.transaction import Outbox
from common.protocol.progress import Departure, Progress
from services.ingest.context import IngestContext
from services.ingest.file_reader import FileReader, ReadingStage
from services.ingest.files.finding import source_name
from services.ingest.files.reading import MovedError, ask_file, check_readable
from services.ingest.naming.locations import FoundFile
from services.ingest.trouble import Trouble

# How often a file that cannot be read is tried again; the others are read at every turn until they have ended.
_TROUBLE_LOOK_INTERVAL_S = 1.0


class Whereabouts(Enum):
    """What is known of where a file is."""

    HERE = auto()
    # Its name is gone, or another file has it: the next look at the input finds where the file went.
    MOVED = auto()
    # Looks at the input do not find it.
    LOST = auto()
    # Another source's file was renamed over it.
    OVERWRITTEN = auto()


_NOWHERE = {Whereabouts.LOST, Whereabouts.OVERWRITTEN}


class FollowedFile:
    """A file that is read on whenever it has more."""

    def __init__(self, context: IngestContext, found: FoundFile, progress: Progress) -> None:
        self._once = context.settings.once
        self._reader = FileReader(context, progress)
        self._trouble = Trouble(progress.source)
        self._next_look = 0.0
        # The file at the last look at the input.
        self._found: FoundFile | None = None
        self._whereabouts = Whereabouts.HERE
        self.see(found)

    @property
    def progress(self) -> Progress:
        """How far the file is read, the current outbox included."""
        return self._reader.progress

    @property
    def read_bytes(self) -> int:
        """How many bytes of the file are read: of a compressed one, compressed ones."""
        return self._reader.read_bytes

    @property
    def size(self) -> int:
        """How many bytes the file had when it was last looked at."""
        found = 0 if self._found is None else self._found.size
        return max(self._reader.size, found, 0)

    @property
    def is_packed(self) -> bool:
        """Whether the file is compressed."""
        return self._reader.is_packed

    @property
    def is_unpacking(self) -> bool:
        """Whether the file, if compressed, is being read: not while it grows, at its end, or in trouble."""
        return self._reader.stage is ReadingStage.READING and not self.trouble and not self.is_at_rest

    @property
    def finished(self) -> bool:
        """Whether it is read to its end, or given up."""
        return self._reader.stage is ReadingStage.FINISHED

    @property
    def trouble(self) -> str:
        """Why it cannot be read now; empty if it can."""
        return self._trouble.reason

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to look at until the file is seen to have changed."""
        return self._next_look == math.inf

    @property
    def resting(self) -> FoundFile | None:
        """The file as a look saw it, if it is there, read to its end and at rest; otherwise None."""
        is_here = self._whereabouts is Whereabouts.HERE
        return self._found if is_here and self.finished and self.is_at_rest and not self.trouble else None

    def record(self, departure: Departure | None) -> None:
        """Note how far the file has left INPUT."""
        self._reader.record(departure)

    def see(self, found: FoundFile) -> None:
        """Take note of where a look at the input sees the file: read on if it has changed, and take no other for it."""
        if found == self._found and self._whereabouts is Whereabouts.HERE:
            return
        # With ONCE no other look finds out where the file has gone, so take or report what is at its path.
        self._reader.move(Path(found.path), "" if self._once else found.file)
        self._next_look = 0.0
        self._reader.reopen()
        self._found = found
        self._whereabouts = Whereabouts.HERE if self._once or found.file else Whereabouts.LOST

    def lose(self, *, overwritten: bool) -> None:
        """The file is not found, or another source's was renamed over it: report that, and read no more."""
        self._whereabouts = Whereabouts.OVERWRITTEN if overwritten else Whereabouts.LOST
        self._next_look = 0.0

    async def put_next_rows(self, outbox: Outbox) -> bool:
        """Put the file's next rows into the outbox; False if there are none now.

        A file that cannot be read is reported once and tried again. One whose content changed stays in trouble until it
        is as it was. One that was moved waits until a look at the input finds it.
        """
        now = time.monotonic()
        if now < self._next_look:
            return False
        try:
            if self._whereabouts in _NOWHERE:
                await self._check_loss()
                return False
            turn = await self._reader.read(outbox, now)
        except (TimeoutError, ConnectionError):
            # Let Kafka's errors pass: registering a header takes a transaction. `ask_file` raises neither.
            raise
        except OSError as error:
            is_moved = isinstance(error, MovedError | FileNotFoundError)
            if is_moved and self._reader.expected and self._whereabouts not in _NOWHERE:
                self._whereabouts, self._next_look = Whereabouts.MOVED, math.inf
                return False
            reason = f"cannot read {source_name(self._reader.path)}: {error.strerror}"
            self._fail(reason, str(error.errno or errno.EIO), now)
            return False
        except SourceError as error:
            self._fail(str(error), "", now)
            return False
        self._next_look = turn.next_look
        self._trouble.clear()
        return turn.moved

    def _fail(self, reason: str, kind: str, now: float) -> None:
        self._trouble.report(reason, kind)
        if self._once:
            self._reader.finish()
        else:
            self._reader.retry()
        # A lost file is found by a look at the whole input, not by a look at this one.
        self._next_look = math.inf if self._whereabouts in _NOWHERE else now + _TROUBLE_LOOK_INTERVAL_S

    async def _check_loss(self) -> None:
        """OSError if no file can be read at the path; SourceError if the file was overwritten before it was read."""
        self._next_look = math.inf
        path, is_overwritten = self._reader.path, self._whereabouts is Whereabouts.OVERWRITTEN
        await ask_file(check_readable, path)
        # A file that can be read here is no trouble: the next look shows which one it is.
        if is_overwritten:
            if not self.progress.ended:
                raise SourceError(
                    f"{source_name(path)} is another file now, and the one read to byte {self.progress.offset} is gone"
                )
            self._reader.finish()
