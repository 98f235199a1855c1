"""The names of splits in positions, which hold digests: the topic `schemas` keeps the texts beside the schemas."""

from collections.abc import Sequence

import orjson

from common.batches.record_runs import Record, key_of
from common.errors import ServiceError
from common.kafka.fenced_topic import FencedTopic, KeyValue
from common.pipeline.topics import Topics
from common.protocol.identity import check_version
from common.protocol.position import HeldSplit, digest
from common.settings import ServiceSettings
from services.split.categories.splits import Split

_VERSION = 1
# No key of a schema begins with it.
_KEY_PREFIX = b"split:"


class SplitNames:
    """Names and texts of splits, by their digests."""

    def __init__(self, settings: ServiceSettings, topics: Topics) -> None:
        self._name = topics.schemas
        self._topic = FencedTopic(settings, topics.schemas, self._take)
        self._known: dict[bytes, tuple[str, str]] = {}

    async def read(self) -> None:
        """Read what the topic holds now."""
        await self._topic.read()

    async def add(self, splits: Sequence[Split]) -> None:
        """Add those that the topic does not hold; only once this has returned may a position name them."""
        await self._topic.read()
        if any(_key_of(split) not in self._known for split in splits):
            await self._topic.append(lambda: self._entries(splits))
            await self._topic.read()

    def name_of(self, held: HeldSplit) -> str:
        """The split's name, or its digest where the topic does not have it."""
        return self._known.get(_key(held.name, held.definition), (f"with digest {held.name}", ""))[0]

    def text_of(self, held: HeldSplit) -> str:
        """The split as SPLIT_BY had it."""
        return self._known.get(_key(held.name, held.definition), ("", "another one of this name"))[1]

    def _entries(self, splits: Sequence[Split]) -> list[KeyValue]:
        return [
            (_key_of(split), orjson.dumps({"version": _VERSION, "name": split.name, "text": split.text}))
            for split in splits
            if _key_of(split) not in self._known
        ]

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            if key_of(record).startswith(_KEY_PREFIX):
                fields = orjson.loads(record.value)
                try:
                    check_version(fields, _VERSION)
                except ValueError as error:
                    raise ServiceError(f"topic {self._name}: a split's name is {error}") from None
                self._known[key_of(record)] = fields["name"], fields["text"]


def _key(name: str, definition: str) -> bytes:
    return b"%s%s:%s" % (_KEY_PREFIX, name.encode(), definition.encode())


def _key_of(split: Split) -> bytes:
    return _key(digest(split.name), digest(split.definition))
