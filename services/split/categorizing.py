"""Rows of one partition → an outbox of categorized rows and rejections."""

from collections.abc import Collection, Iterable, Sequence

import structlog
from msgspec import Struct
from msgspec.structs import replace

from common.batches.record_runs import Record, RecordRun
from common.kafka.transaction import NewRecord, Outbox
from common.pipeline.registry import Registry
from common.pipeline.topics import Topics
from common.protocol.identity import NEWEST_FORMATS, Formats
from common.protocol.messages import EOL, Ended, SourceMark, encode_control
from common.protocol.position import Gap, HeldSplit, SplitGroup, digest
from common.protocol.rejections import encode_rejection
from common.rows.codec import JsonCodec
from common.rows.reasons import Code, Reason
from common.rows.schema import Schema
from services.split.categories.columns import doubled_columns, missing_columns, quote_names
from services.split.categories.provenance import Cursor, MarkedRows, divide, outside, rejections
from services.split.categories.routing import Route, RoutedBatch, compile_route
from services.split.categories.splits import Split

log = structlog.get_logger()


class _Compiled(Struct, frozen=True):
    """What rows of one schema need: the route of each split, by its name, and for JSON rows the way back to CSV."""

    schema: Schema
    routes: dict[str, Route]
    codec: JsonCodec | None


class Categorizer:
    """Categorizes one partition's rows for some splits; `cursor`, `held` and `rows` stand behind the last row put.

    A replay sends rows to one split alone: those of a split in `others` belong to another categorizer.
    """

    _is_filling = False

    def __init__(
        self,
        topics: Topics,
        partitions: int,
        splits: Sequence[Split],
        registry: Registry,
        others: Collection[str] = (),
        *,
        formats: Formats = NEWEST_FORMATS,
    ) -> None:
        self._topics = topics
        self._partitions = partitions
        self._splits = list(splits)
        self._registry = registry
        self._others = others
        self._formats = formats
        self._version = formats.now
        # The last one put, as a record: rows of a block go to many places behind the same one.
        self._mark: tuple[SourceMark, NewRecord] | None = None
        self._compiled: dict[str, _Compiled] = {}
        self._held = {split.name: HeldSplit(digest(split.name), digest(split.definition)) for split in splits}
        self._gaps: dict[str, Sequence[Gap]] = {}
        self.cursor = Cursor()
        self.rows = 0

    async def categorize(self, runs: Iterable[RecordRun | Record], outbox: Outbox) -> None:
        """Put every row of these records where it belongs, once for each split."""
        for part in divide(runs, self.cursor):
            if not isinstance(part, Ended):
                self._put(part, await self._compile(part.mark.schema), outbox)
            elif self._version > 1 or not self._is_filling:
                # In format 1 an end must come once.
                self._broadcast(part, outbox)

    @property
    def held(self) -> tuple[HeldSplit, ...]:
        """Its splits with what they have rejected."""
        return tuple(self._held.values())

    def begin_at(self, *groups: SplitGroup) -> None:
        """Go on from the position of these groups of its splits, which all stand at the same one."""
        self.cursor = Cursor(committed=groups[0].offset, mark_offset=groups[0].mark_offset)
        names = {held.name: name for name, held in self._held.items()}
        for group in groups:
            for held in group.splits:
                self._held[names[held.name]] = held
                self._gaps[names[held.name]] = group.gaps

    def add(self, split: Split, held: HeldSplit) -> None:
        """Categorize the rows from here on for one more split."""
        self._splits.append(split)
        self._others = [other for other in self._others if other != split.name]
        self._held[split.name] = held
        for compiled in self._compiled.values():
            compiled.routes[split.name] = self._route(split, compiled.schema)

    async def _compile(self, schema_id: str) -> _Compiled:
        if schema_id not in self._compiled:
            schema = (await self._registry.find(schema_id)).schema
            _warn_of_columns(schema, self._splits)
            routes = {split.name: self._route(split, schema) for split in self._splits}
            codec = JsonCodec(schema) if schema.row_format == "json" else None
            self._compiled[schema_id] = _Compiled(schema, routes, codec)
        return self._compiled[schema_id]

    def _route(self, split: Split, schema: Schema) -> Route:
        return compile_route(split, schema, self._partitions, self._formats)

    def _put(self, marked: MarkedRows, compiled: _Compiled, outbox: Outbox) -> None:
        only = marked.mark.split
        for split, route in compiled.routes.items():
            if not only:
                self._put_routed(marked, route(marked.rows, marked.mark.plain), split, compiled, outbox)
            elif only == split:
                for part in outside(marked, self._gaps.get(only, ())):
                    self._put_routed(part, route(part.rows, part.mark.plain), split, compiled, outbox)
        if only and only not in self._held and only not in self._others:
            self._reject_unknown(marked, compiled, outbox)
        self.rows += len(marked.rows)
        outbox.rows.received += len(marked.rows)

    def _put_routed(
        self, marked: MarkedRows, routed: RoutedBatch, split: str, compiled: _Compiled, outbox: Outbox
    ) -> None:
        mark = marked.mark
        eol = mark.eol if mark.eol != compiled.schema.dialect.eol else None
        if self._version == 1:
            _put_unmarked(routed, eol, self._topics.categorized, outbox)
        else:
            record = self._record_of(SourceMark(mark.source, mark.schema, eol, mark.read_ms, mark.is_replay))
            for (key, partition), rows in routed.groups.items():
                outbox.put_marked_rows(self._topics.categorized, partition, key, rows, lambda _row: record)
        outbox.rows.sent += len(marked.rows) - len(routed.rejects)
        held = self._held[split]
        if routed.rejects:
            self._reject(marked, routed.rejects, split, compiled, outbox)
            held = replace(held, rejected=held.rejected + len(routed.rejects))
        if routed.groups and not held.placed:
            held = replace(held, placed=True)
        self._held[split] = held

    def _record_of(self, mark: SourceMark) -> NewRecord:
        """The mark as a record, the same one as long as the mark is the same."""
        if self._mark is None or self._mark[0] != mark:
            self._mark = mark, (None, *encode_control(mark))
        return self._mark[1]

    def _reject(
        self,
        marked: MarkedRows,
        rejects: Iterable[tuple[int, Reason]],
        split: str,
        compiled: _Compiled,
        outbox: Outbox,
    ) -> None:
        for rejection in rejections(marked, compiled.codec, split, rejects):
            value, headers = encode_rejection(rejection)
            outbox.put(self._topics.rejected, 0, None, value, headers)
            outbox.rows.reject(split, rejection.code)

    def _reject_unknown(self, marked: MarkedRows, compiled: _Compiled, outbox: Outbox) -> None:
        split = marked.mark.split
        reason = Reason(Code.SPLIT, f"replayed for split {split}, which SPLIT_BY does not have")
        self._reject(marked, ((index, reason) for index in range(len(marked.rows))), split, compiled, outbox)

    def _broadcast(self, ended: Ended, outbox: Outbox) -> None:
        """Put a source's end behind its rows in every partition: each may hold some of them."""
        if self._version > 1:
            # Behind its rejections as well.
            ended = self._with_splits(ended)
            value, headers = encode_control(ended, self._version)
            outbox.put(self._topics.rejected, 0, None, value, headers)
        value, headers = encode_control(ended, self._version)
        for partition in range(self._partitions):
            outbox.put(self._topics.categorized, partition, None, value, headers)

    def _with_splits(self, ended: Ended) -> Ended:
        splits = tuple(self._held)
        return replace(ended, splits=splits, split_by=(*splits, *self._others), is_filling=self._is_filling)


class FillingCategorizer(Categorizer):
    """Categorizes rows that the main categorizer has passed, for splits that lack them; nothing else is left to do."""

    _is_filling = True

    def _reject_unknown(self, marked: MarkedRows, compiled: _Compiled, outbox: Outbox) -> None:
        """Leave out what the main categorizer has rejected."""


def _put_unmarked(routed: RoutedBatch, eol: bytes | None, categorized: str, outbox: Outbox) -> None:
    """Put rows as format 1 has them."""
    for (key, partition), rows in routed.groups.items():
        if eol is None:
            outbox.put_rows(categorized, partition, key, rows)
        else:
            for row in rows:
                outbox.put(categorized, partition, key, row, [(EOL, eol)])


def _warn_of_columns(schema: Schema, splits: Iterable[Split]) -> None:
    for split in splits:
        for line in missing_columns(split, schema):
            event = "no such column: the split rejects every row of this schema"
            columns = quote_names(schema.columns)
            log.warning(event, split=split.name, reason=line, schema=schema.id, columns=columns)
        for line in doubled_columns(split, schema):
            log.warning("two columns of one name", split=split.name, reason=line, schema=schema.id)
