"""Finding the file that a category's rows go into: one known from memory or from the ledger, or a new one."""

from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from common.pipeline.schema_numbers import Schemas
from common.protocol.category_keys import parse_file_key
from common.protocol.output_folder import REJECTED_PATH
from services.sink.disk.open_files import check_free
from services.sink.disk.output_root import Identity, OutputRoot
from services.sink.grouping import CsvRun, ValueRun
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import REJECTED_KEY, Changes, Entry
from services.sink.memory import CategoryState, Memory
from services.sink.rendering import Layout, csv_runs, layout_of, rejected_layout
from services.sink.rolling.limits import Due, Limits, Rolling, portions
from services.sink.threads import in_thread


class PendingAppend(Struct, frozen=True):
    """CSV rows to append to an entry's file, and whether they fill it. An entry without a path has no file yet."""

    entry: Entry
    layout: Layout
    runs: Sequence[CsvRun]
    full: bool = False


class Categories:
    """The entries and layouts of a partition's keys. The ledger is queried in `thread`.

    `identity` is that of the folder that has the ledger. `begun` is the format in which the pipeline was begun.
    """

    def __init__(
        self,
        identity: Identity,
        ledger: Ledger,
        thread: ThreadPoolExecutor,
        schemas: Schemas,
        rolling: Rolling,
        memory: Memory,
        begun: int,
    ) -> None:
        self._identity = identity
        self._ledger = ledger
        self._thread = thread
        self._schemas = schemas
        self._rolling = rolling
        self._memory = memory
        self._begun = begun
        self._layouts: dict[str, Layout] = {}

    async def find(self, keys: Collection[bytes]) -> dict[bytes, tuple[Entry, Layout]]:
        """Each key's entry, from memory, from the ledger or new, and its layout."""
        found = {key: state for key in keys if (state := self._memory.find(key)) is not None}
        if missing := [key for key in keys if key not in found]:
            entries = await in_thread(self._thread, self._ledger.find, missing)
            first = 1 if self._rolling.rule.rolls else 0
            for key in missing:
                found[key] = CategoryState(entries.get(key) or Entry(key, "", part=first), None)
        return {key: (state.entry, state.layout or await self._layout_of(key)) for key, state in found.items()}

    async def _layout_of(self, key: bytes) -> Layout:
        if key == REJECTED_KEY:
            return rejected_layout(self._begun)
        schema, _, _ = parse_file_key(key)
        layout = self._layouts.get(schema)
        if layout is None:
            layout = layout_of((await self._schemas.find(schema)).schema)
            self._layouts[schema] = layout
        return layout

    async def claim(self, appends: list[PendingAppend], now: float, output: OutputRoot) -> list[PendingAppend]:
        """Name new files, and enter them in the ledger before they exist: sink never touches a file of no ledger.

        Create them through `output`. FolderReplacedError if it is not the folder that has the ledger.
        """
        new: list[Entry] = []
        claimed: list[PendingAppend] = []
        for append in appends:
            if append.entry.path:
                claimed.append(append)
            else:
                new.append(await self._named(append.entry, now))
                claimed.append(replace(append, entry=new[-1]))
        if new:
            await self._enter(new, output)
        return claimed

    async def _named(self, entry: Entry, now: float) -> Entry:
        """The entry of a new file, with its paths and the time at which it begins."""
        if entry.key == REJECTED_KEY:
            return replace(entry, path=REJECTED_PATH)
        schema, split, category = parse_file_key(entry.key)
        number = (await self._schemas.find(schema)).number
        date = datetime.fromtimestamp(now, UTC).date().isoformat()
        place = self._rolling.rule.place(split, category, number, entry.part, date)
        return replace(entry, path=place.path, final=place.final, began_at=now, changed_at=now)

    async def _enter(self, entries: Sequence[Entry], output: OutputRoot) -> None:
        # In another folder that has the path now, the files would be of no ledger: no session could ever go on there.
        output.check_is(self._identity)
        for entry in entries:
            check_free(output, entry.path)
            if entry.final:
                check_free(output, entry.final)
        output.close_folders()
        await in_thread(self._thread, self._ledger.commit, {}, Changes(entries))

    async def find_due(self, due: Due, limit: int) -> Sequence[Entry]:
        """At most `limit` open files that are due by their entries in the ledger, which memory's may have overtaken."""
        by, after = (due.begun_by, due.changed_by), (due.begun_after, due.changed_after)
        return await in_thread(self._thread, self._ledger.due, by, after, limit)

    def current(self, known: Entry) -> CategoryState:
        """The current state of the category that has this entry in the ledger."""
        return self._memory.find(known.key) or CategoryState(known, None)


def portioned(entry: Entry, layout: Layout, pile: Sequence[ValueRun], limits: Limits) -> Iterator[PendingAppend]:
    """Divide a pile's rows between the category's open file and those that follow once it is full."""
    runs = csv_runs(pile, layout)
    if not (limits.size or limits.rows):
        yield PendingAppend(entry, layout, runs)
        return
    header = len(layout.header_line)
    size = entry.length if entry.path else header
    for number, portion in enumerate(portions(runs, limits, size=size, rows=entry.rows, header=header)):
        into = entry if number == 0 else Entry(entry.key, "", part=entry.part + number)
        yield PendingAppend(into, layout, portion.runs, portion.full)
