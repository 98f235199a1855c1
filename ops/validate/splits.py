"""Where the rows would go in a split: how many files, their names, and which rows have none. Pure."""

from collections.abc import Mapping
from heapq import nlargest

from msgspec import Struct

from common.pipeline.schema_numbers import Registered
from common.protocol.category_keys import parse_row_key
from ops.validate.examination import ExaminedChunk, RejectionSummary, lines_of_rows, with_rejects
from services.ingest.parsing.framing import Reject, RowBlock
from services.sink.paths.names import file_path
from services.split.categories.routing import Route, compile_route
from services.split.categories.splits import Split

# The most categories of a split, and bytes of their keys, that are counted; beyond, the report says "more than".
MAX_CATEGORIES = 100_000
_MAX_KEYS_BYTES = 64 * 2**20
_MAX_SAMPLES = 5


class SplitOutcome(Struct, frozen=True):
    """Where a split puts rows: how many files there are, and samples of them with their rows, the largest first.

    Without `complete`, there are more files than were counted.
    """

    name: str
    rows: int
    files: int
    complete: bool
    samples: tuple[tuple[str, int], ...]
    rejections: RejectionSummary


class SplitTally:
    """Counts the categories of one split, row by row. It holds the route of one schema at a time."""

    def __init__(self, split: Split, max_categories: int = MAX_CATEGORIES) -> None:
        self._split = split
        self._max_categories = max_categories
        self._route: Route | None = None
        self._schema_id = ""
        # By schema and key.
        self._counts: dict[tuple[str, bytes], int] = {}
        self._keys_bytes = 0
        self._complete = True
        self._rows = 0
        self._rejections = RejectionSummary()

    def add(self, source: str, registered: Registered, chunk: ExaminedChunk) -> None:
        """Count where the rows of a source's next bytes go."""
        for part in chunk.parts:
            if not isinstance(part, Reject):
                self._add_block(source, self._route_of(registered), *part)

    def _route_of(self, registered: Registered) -> Route:
        if self._route is None or self._schema_id != registered.schema.id:
            # One partition, because nothing is sent: hashing keys to several would cost more than all else.
            self._route = compile_route(self._split, registered.schema, partitions=1)
            self._schema_id = registered.schema.id
        return self._route

    def _add_block(self, source: str, route: Route, block: RowBlock, values: list[bytes]) -> None:
        routed = route(values, block.plain)
        for (key, _), rows in routed.groups.items():
            self._rows += len(rows)
            category = self._schema_id, key
            if category in self._counts:
                self._counts[category] += len(rows)
            elif len(self._counts) < self._max_categories and self._keys_bytes + len(key) <= _MAX_KEYS_BYTES:
                self._counts[category] = len(rows)
                self._keys_bytes += len(key)
            else:
                self._complete = False
        if routed.rejects:
            lines = lines_of_rows(block, source, [index for index, _ in routed.rejects])
            found = ((reason.text, f"{source}:{line}") for (_, reason), line in zip(routed.rejects, lines, strict=True))
            self._rejections = with_rejects(self._rejections, found)

    def outcome(self, known: Mapping[str, Registered]) -> SplitOutcome:
        """The outcome of the rows so far; `known` has the number of each schema."""
        # Equal counts stay in their order of arrival, so that the same input gives the same report.
        most = nlargest(_MAX_SAMPLES, self._counts.items(), key=lambda item: item[1])
        samples = []
        for (schema_id, key), rows in most:
            samples.append((file_path(*parse_row_key(key), known[schema_id].number), rows))
        return SplitOutcome(
            self._split.name, self._rows, len(self._counts), self._complete, tuple(samples), self._rejections
        )
