"""The schemas that are known, kept in a compacted topic and numbered in the order in which they came."""

import asyncio
import base64
import random
from dataclasses import dataclass, replace

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ProducerFenced

from common.clients import open_producer, open_reader
from common.errors import ConfigurationError
from common.schema import Dialect, Schema
from common.schema_differences import differences
from common.settings import ServiceSettings
from common.topic_reading import read_to_end
from common.topics import Topics
from common.transaction import Transactions

log = structlog.get_logger()

_FIRST_BACK_OFF_S = 0.1
_LONGEST_BACK_OFF_S = 3.0


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema and its number, from 1. Files of schema 1 have plain names, later ones a suffix."""

    number: int
    schema: Schema


class Registry:
    """Looks schemas up, and registers new ones."""

    def __init__(self, settings: ServiceSettings, topics: Topics) -> None:
        self._settings = settings
        self._partition = TopicPartition(topics.schemas, 0)
        self._known: dict[str, Registered] = {}
        self._next_offset = 0
        self._lock = asyncio.Lock()

    async def find(self, schema_id: str) -> Registered:
        """The schema with this id. ConfigurationError when the topic does not hold it."""
        if schema_id not in self._known:
            async with self._lock:
                if schema_id not in self._known:
                    await self._read()
        if schema_id not in self._known:
            raise ConfigurationError(
                f"schema {schema_id} is used, but topic {self._partition.topic} does not hold it: was it deleted?"
            )
        return self._known[schema_id]

    async def known(self) -> dict[str, Registered]:
        """Every schema that the topic holds now, by id."""
        async with self._lock:
            await self._read()
        return dict(self._known)

    async def register(self, schema: Schema) -> Registered:
        """Give the schema a number, unless it has one.

        All registrations share one transactional id: whoever starts its producer last has fenced the others, and
        reads what they committed before it writes. So no two schemas get one number.
        """
        async with self._lock:
            back_off_s = _FIRST_BACK_OFF_S
            if schema.id not in self._known:
                await self._read()
            while schema.id not in self._known:
                try:
                    await self._append(schema)
                except ProducerFenced:
                    log.info("another service registers a schema, trying again", schema=schema.id)
                    # Random, and longer each time: replicas that go on at once fence each other in turn, for ever.
                    await asyncio.sleep(random.uniform(0, back_off_s))  # noqa: S311 - no secret
                    back_off_s = min(2 * back_off_s, _LONGEST_BACK_OFF_S)
                    await self._read()
            return self._known[schema.id]

    async def _append(self, schema: Schema) -> None:
        transactional_id = f"{self._settings.topic_prefix}schemas"
        # The producer second: the sooner it commits after its start, the less often another one fences it.
        async with (
            open_reader(self._settings, "nacre-schemas") as consumer,
            open_producer(self._settings, transactional_id) as producer,
        ):
            transactions = Transactions(producer, [self._partition])
            await transactions.take_over()
            await self._read_with(consumer)
            if schema.id in self._known:
                return
            registered = Registered(1 + max((known.number for known in self._known.values()), default=0), schema)
            outbox = transactions.outbox()
            outbox.put(self._partition.topic, 0, schema.id.encode(), encode_schema(registered))
            await transactions.commit(outbox)
            # Rows that name the schema are written next: who reads them has to find it.
            await transactions.settle()
            self._known[schema.id] = registered
            log.info("new schema", schema=schema.id, number=registered.number, columns=list(schema.columns))
            self._tell_differences(registered)

    def _tell_differences(self, new: Registered) -> None:
        """Say in what a schema differs from the first: its rows get files of their own, which may not be meant."""
        first = min(self._known.values(), key=lambda registered: registered.number)
        if first.number < new.number:
            differs = differences(first.schema, new.schema)
            log.warning(
                "another schema, kept apart", schema=new.schema.id, files=f"*~{new.number}.csv", differs=differs
            )

    async def _read(self) -> None:
        async with open_reader(self._settings, "nacre-schemas") as consumer:
            await self._read_with(consumer)

    async def _read_with(self, consumer: AIOKafkaConsumer) -> None:
        consumer.assign([self._partition])
        consumer.seek(self._partition, self._next_offset)
        for record in await read_to_end(consumer, self._partition):
            self._known[record.key.decode()] = decode_schema(record.value)
        self._next_offset = await consumer.position(self._partition)


def encode_schema(registered: Registered) -> bytes:
    """A schema as JSON; `columns` are for people, `header` is the header record's exact bytes in base64."""
    schema = registered.schema
    return orjson.dumps(
        {
            "number": registered.number,
            "columns": schema.columns,
            "header": None if schema.header is None else base64.b64encode(schema.header).decode(),
            "delimiter": schema.dialect.delimiter.decode("latin-1"),
            "quote": schema.dialect.quote.decode("latin-1"),
            "eol": schema.dialect.eol.decode("latin-1"),
            "encoding": schema.dialect.encoding,
            "row_format": schema.row_format,
        }
    )


def decode_schema(value: bytes) -> Registered:
    """The schema that `encode_schema` wrote."""
    fields = orjson.loads(value)
    marks = (fields[name].encode("latin-1") for name in ("delimiter", "quote", "eol"))
    dialect = replace(Dialect(*marks), encoding=fields["encoding"])
    header = None if fields["header"] is None else base64.b64decode(fields["header"])
    return Registered(fields["number"], Schema(header, tuple(fields["columns"]), dialect, fields["row_format"]))
