"""A file followed without Kafka: its records go into lists and, by sink's own rules, into one file's bytes."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from common.errors import RecordTooLargeError
from common.kafka.transaction import Outbox
from common.pipeline.schema_numbers import Registered
from common.pipeline.topics import Topics
from common.protocol.messages import Ended, Mark, decode_control
from common.protocol.progress import Progress, decode_progress, encode_progress
from common.protocol.rejections import Rejection, decode_rejection
from common.rows.schema import Schema
from common.settings_reader import make_settings
from services.ingest import beginning, file_reader, followed_file
from services.ingest.context import IngestContext
from services.ingest.files.finding import look_at, source_name
from services.ingest.followed_file import FollowedFile
from services.ingest.settings import IngestSettings
from services.sink.grouping import ValueRun
from services.sink.rendering import csv_runs, layout_of, render


class Batch:
    """A record batch without a size limit, as a list."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, list[tuple[str, bytes]]]] = []
        self._size = 0

    def append(self, *, timestamp: int, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> bool:
        """Add one record."""
        del timestamp, key
        self._size += len(value)
        self.records.append((value, headers))
        return True

    def put_rows(self, timestamp: int, key: bytes, rows: list[bytes], start: int) -> int:
        """Add many rows."""
        for row in rows[start:]:
            self.append(timestamp=timestamp, key=key, value=row, headers=[])
        return len(rows)

    def size(self) -> int:
        """Bytes so far."""
        return self._size


class Schemas:
    """A registry that knows the schemas registered with it."""

    def __init__(self, most_columns: int = 10**9) -> None:
        self._most_columns = most_columns
        self._known: dict[str, Registered] = {}

    async def register(self, schema: Schema) -> Registered:
        """Number a schema."""
        if len(schema.columns) > self._most_columns:
            raise RecordTooLargeError("too many")
        return self._known.setdefault(schema.id, Registered(len(self._known) + 1, schema))

    async def find(self, schema_id: str) -> Registered:
        """The schema as it was registered."""
        return self._known[schema_id]


@dataclass
class Reader:
    """Follows one file; `output` is what a split by * has of it, `rejects` what was rejected, `ends` its ends."""

    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    clock: float = 0.0
    output: bytes = b""
    lacks: int = 0
    rows: list[bytes] = field(default_factory=list)
    rejects: list[Rejection] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    schemas: Schemas = field(default_factory=Schemas)
    progress: Progress | None = None
    followed: FollowedFile | None = None

    def start(self) -> None:
        """Start again from what is remembered."""
        settings = make_settings(IngestSettings, {"input": str(self.path), "partitions": 1} | self.settings)
        context = IngestContext(settings, Topics.under(""), self.schemas)  # type: ignore[arg-type] # as far as it is asked
        known = context.new_progress(source_name(self.path)) if self.progress is None else self.progress
        remembered = decode_progress(encode_progress(known))
        assert isinstance(remembered, Progress)
        self.followed = FollowedFile(context, look_at({"": self.path})[""], remembered)

    async def read(self, seconds: float = 0.0) -> None:
        """Read until there is nothing more, after moving the clock on by `seconds`."""
        self.clock += seconds
        if self.followed is None:
            self.start()
        assert self.followed is not None
        self.followed.see(look_at({"": self.path})[""])
        quiet = 0
        # A chunk without a complete record is read again at twice the length.
        while quiet < 8:
            outbox = Outbox(Batch)  # type: ignore[arg-type]  # as much of one as this needs
            quiet = 0 if await self.followed.put_next_rows(outbox) else quiet + 1
            self._take(outbox)
            self.progress = self.followed.progress

    async def run(self) -> None:
        """Read what is there, as a process of its own with ONCE does."""
        self.settings["once"] = True
        self.start()
        await self.read()

    def _take(self, outbox: Outbox) -> None:
        mark: Mark | None = None
        for (topic, _), batches in outbox.batches.items():
            for value, headers in (record for batch in batches for record in batch.records):
                if topic == "rejected":
                    told = decode_rejection(headers, value)
                    assert isinstance(told, Rejection)
                    self.rejects.append(told)
                    continue
                control = decode_control(headers, value)
                if isinstance(control, Ended):
                    self.ends.append(control)
                elif isinstance(control, Mark):
                    mark = control
                else:
                    assert mark is not None
                    self._write(value, mark)

    def _write(self, row: bytes, mark: Mark) -> None:
        layout = layout_of(self.schemas._known[mark.schema].schema)  # noqa: SLF001 - a test's own
        added = render(
            csv_runs([ValueRun(mark.eol, [row])], layout), layout, empty=not self.output, open_line=self.lacks
        )
        self.output += added.data
        self.lacks = added.open_line
        self.rows.append(row)


@pytest.fixture
def clocked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Reader:
    """A reader of a file that does not exist yet, with a clock of its own."""
    reader = Reader(tmp_path / "a.csv")
    for module in (followed_file, file_reader, beginning):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: reader.clock))
    return reader
