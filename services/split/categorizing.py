"""Rows of one partition → an outbox of categorized rows and rejections."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import structlog

from common.batches.record_runs import Record, RecordRun
from common.kafka.transaction import Outbox
from common.pipeline.registry import Registered, Registry
from common.pipeline.topics import Topics, partition_for
from common.protocol.messages import EOL, Category, Ended, Rejection, category_key, encode_control, encode_rejection
from common.protocol.position import Gap, Group, Held, digest
from common.rows.codec import JsonCodec
from services.split.categories.columns import doubled_columns, missing_columns, show_names
from services.split.categories.provenance import Cursor, Span, divide, outside
from services.split.categories.routing import Route, compile_route
from services.split.categories.splits import Split

log = structlog.get_logger()

# A category is part of its rows' key and of a file's path. Key and row have to fit into one record batch.
_MAX_KEY_BYTES = 65_536
_MAX_CACHED_PLACES = 100_000
# So many of longer ones could be more than there is memory.
_LONG_KEY = 1024

Place = tuple[bytes, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """A batch of rows: each group with its place; the index of each row that has none and the reason, ascending."""

    groups: list[tuple[Place, list[bytes]]]
    rejects: list[tuple[int, str]]


class SplitRoute:
    """How rows of one schema go in one split: to which category, and where that category's rows are put."""

    def __init__(self, split: Split, registered: Registered, partitions: int) -> None:
        self.name = split.name
        self.route: Route = compile_route(split, registered.schema)
        self._schema_id = registered.schema.id
        self._partitions = partitions
        self._places: dict[Category, Place] = {}

    def place(self, category: Category) -> Place:
        """The key of a category's rows and the partition it lives in."""
        place = self._places.get(category)
        if place is None:
            key = category_key(self._schema_id, self.name, category)
            place = key, partition_for(key, self._partitions)
            if len(key) <= _LONG_KEY:
                if len(self._places) >= _MAX_CACHED_PLACES:
                    self._places.clear()
                self._places[category] = place
        return place

    def put(self, rows: list[bytes], *, plain: bool) -> Placed:
        """Where each of these rows goes."""
        routed = self.route(rows, plain)
        groups, rejects = [], list(routed.rejects)
        for category, group in routed.groups.items():
            place = self.place(category)
            if len(place[0]) > _MAX_KEY_BYTES:
                rejects += _too_long(rows, group, len(place[0]))
            else:
                groups.append((place, group))
        return Placed(groups, sorted(rejects))


class SchemaRoutes:
    """How rows of one schema go in every split."""

    def __init__(self, registered: Registered, splits: Sequence[Split], partitions: int) -> None:
        self.schema = registered.schema
        self._registered = registered
        self._partitions = partitions
        self.splits = [SplitRoute(split, registered, partitions) for split in splits]
        self._codec = JsonCodec(self.schema) if self.schema.row_format == "json" else None

    def add(self, split: Split) -> None:
        """One more split."""
        self.splits.append(SplitRoute(split, self._registered, self._partitions))

    def to_csv(self, rows: list[bytes]) -> list[bytes]:
        """Rows as CSV, as their source has them."""
        return rows if self._codec is None else self._codec.decode_all(rows)


class Carrier:
    """Carries one partition's rows for some splits; `cursor`, `held` and `rows` stand behind what outboxes have got.

    Of rows that a replay sends to one split alone, those of a split in `others` are another carrier's.
    """

    def __init__(
        self,
        topics: Topics,
        partitions: int,
        splits: Sequence[Split],
        registry: Registry,
        others: Collection[str] = (),
    ) -> None:
        self._topics = topics
        self._partitions = partitions
        self._splits = list(splits)
        self._registry = registry
        self._others = others
        self._routes: dict[str, SchemaRoutes] = {}
        self._held = {split.name: _as_held(split) for split in splits}
        self._gaps: dict[str, Sequence[Gap]] = {}
        self.cursor = Cursor()
        self.rows = 0

    @property
    def held(self) -> tuple[Held, ...]:
        """Its splits with what they have rejected."""
        return tuple(self._held.values())

    def begin_at(self, *groups: Group) -> None:
        """Go on where these groups of its splits stand, which is the same place for all."""
        self.cursor = Cursor(committed=groups[0].offset, mark_offset=groups[0].mark_offset)
        names = {held.name: name for name, held in self._held.items()}
        for group in groups:
            for held in group.splits:
                self._held[names[held.name]] = held
                self._gaps[names[held.name]] = group.gaps

    def add(self, split: Split, held: Held) -> None:
        """Carry the rows from here on for one more split."""
        self._splits.append(split)
        self._held[split.name] = held
        for routes in self._routes.values():
            routes.add(split)

    async def carry(self, runs: Iterable[RecordRun | Record], outbox: Outbox) -> None:
        """Put every row of these records where it belongs, once for each split."""
        for part in divide(runs, self.cursor):
            if isinstance(part, Ended):
                self._broadcast(part, outbox)
            else:
                self._put_span(part, await self._routes_of(part.mark.schema), outbox)

    async def _routes_of(self, schema_id: str) -> SchemaRoutes:
        if schema_id not in self._routes:
            registered = await self._registry.find(schema_id)
            for split in self._splits:
                for line in missing_columns(split, registered.schema):
                    event = "no such column: the split rejects every row of this schema"
                    columns = show_names(registered.schema.columns)
                    log.warning(event, split=split.name, reason=line, schema=schema_id, columns=columns)
                for line in doubled_columns(split, registered.schema):
                    log.warning("two columns of one name", split=split.name, reason=line, schema=schema_id)
            self._routes[schema_id] = SchemaRoutes(registered, self._splits, self._partitions)
        return self._routes[schema_id]

    def _put_span(self, span: Span, routes: SchemaRoutes, outbox: Outbox) -> None:
        only = span.mark.split
        for split in routes.splits:
            if not only:
                self._put(span, split, routes, outbox)
            elif only == split.name:
                for part in outside(span, self._gaps.get(only, ())):
                    self._put(part, split, routes, outbox)
        if only and only not in self._held and only not in self._others:
            self._reject_unknown(span, routes, outbox)
        self.rows += len(span.rows)

    def _put(self, span: Span, split: SplitRoute, routes: SchemaRoutes, outbox: Outbox) -> None:
        eol = span.mark.eol if span.mark.eol != routes.schema.dialect.eol else None
        placed = split.put(span.rows, plain=span.mark.plain)
        for (key, partition), rows in placed.groups:
            if eol is None:
                outbox.put_rows(self._topics.categorized, partition, key, rows)
            else:
                for row in rows:
                    outbox.put(self._topics.categorized, partition, key, row, [(EOL, eol)])
        held = self._held[split.name]
        if placed.rejects:
            self._reject(span, split.name, placed.rejects, routes, outbox)
            held = replace(held, rejected=held.rejected + len(placed.rejects))
        if placed.groups and not held.placed:
            held = replace(held, placed=True)
        self._held[split.name] = held

    def _reject_unknown(self, span: Span, routes: SchemaRoutes, outbox: Outbox) -> None:
        reason = f"replayed for split {span.mark.split}, which SPLIT_BY does not have"
        rejects = [(index, reason) for index in range(len(span.rows))]
        self._reject(span, span.mark.split, rejects, routes, outbox)

    def _reject(
        self, span: Span, split: str, rejects: Sequence[tuple[int, str]], routes: SchemaRoutes, outbox: Outbox
    ) -> None:
        rows = routes.to_csv(span.rows)
        place = span.mark.passed(routes.to_csv(list(chain.from_iterable(span.before))))
        done = 0
        for index, reason in rejects:
            place = place.passed(rows[done:index])
            done = index
            rejection = Rejection(place.source, place.line, place.offset, split, reason, rows[index])
            value, headers = encode_rejection(rejection)
            outbox.put(self._topics.rejected, 0, None, value, headers)

    def _broadcast(self, ended: Ended, outbox: Outbox) -> None:
        """Put a source's end behind its rows in every partition: each may hold some of them."""
        value, headers = encode_control(ended)
        for partition in range(self._partitions):
            outbox.put(self._topics.categorized, partition, None, value, headers)


class FillingCarrier(Carrier):
    """Carries rows that the main carrier has passed for splits that lack them: the rest of those records is done."""

    def _reject_unknown(self, span: Span, routes: SchemaRoutes, outbox: Outbox) -> None:
        """The main carrier has done it."""

    def _broadcast(self, ended: Ended, outbox: Outbox) -> None:
        """A source's end comes once."""


def _as_held(split: Split) -> Held:
    return Held(digest(split.name), digest(split.definition))


def _too_long(rows: Sequence[bytes], refused: Sequence[bytes], size: int) -> list[tuple[int, str]]:
    reason = f"a category of {size} bytes, at most {_MAX_KEY_BYTES}"
    # By identity: equal rows have the same category, so any of them is as good, but each index counts once.
    wanted = {id(row) for row in refused}
    return [(index, reason) for index, row in enumerate(rows) if id(row) in wanted]
