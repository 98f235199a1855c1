"""The schemas that are known, kept in a compacted topic and numbered in the order in which they came."""

import asyncio
import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import orjson
import structlog

from common.errors import ConfigurationError
from common.fenced_topic import Entry, FencedTopic
from common.schema import Dialect, Schema
from common.schema_differences import differences
from common.settings import ServiceSettings
from common.stretches import Single
from common.topics import Topics

log = structlog.get_logger()

_SCHEMA_KEY = re.compile(rb"[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Registered:
    """A schema and its number, from 1. Files of schema 1 have plain names, later ones a suffix."""

    number: int
    schema: Schema


class Registry:
    """Looks schemas up, and registers new ones."""

    def __init__(self, settings: ServiceSettings, topics: Topics) -> None:
        self._name = topics.schemas
        self._topic = FencedTopic(settings, topics.schemas, self._take)
        self._known: dict[str, Registered] = {}
        self._lock = asyncio.Lock()

    async def find(self, schema_id: str) -> Registered:
        """The schema with this id. ConfigurationError when the topic does not hold it."""
        if schema_id not in self._known:
            async with self._lock:
                if schema_id not in self._known:
                    await self._topic.read()
        if schema_id not in self._known:
            raise ConfigurationError(
                f"schema {schema_id} is used, but topic {self._name} does not hold it: was it deleted?"
            )
        return self._known[schema_id]

    async def known(self) -> dict[str, Registered]:
        """Every schema that the topic holds now, by id."""
        async with self._lock:
            await self._topic.read()
        return dict(self._known)

    async def register(self, schema: Schema) -> Registered:
        """Give the schema a number, unless it has one. No two schemas get one number."""
        async with self._lock:
            if schema.id not in self._known:
                await self._topic.read()
            if schema.id not in self._known:
                for _, value in await self._topic.append(partial(self._number, schema)):
                    registered = decode_schema(value)
                    self._known[schema.id] = registered
                    log.info("new schema", schema=schema.id, number=registered.number, columns=list(schema.columns))
                    self._tell_differences(registered)
            return self._known[schema.id]

    def _number(self, schema: Schema) -> list[Entry]:
        """The schema as an entry with the next number; nothing where it has one."""
        if schema.id in self._known:
            return []
        registered = Registered(1 + max((known.number for known in self._known.values()), default=0), schema)
        return [(schema.id.encode(), encode_schema(registered))]

    def _take(self, records: Sequence[Single]) -> None:
        # What the topic holds besides has other keys.
        of_schemas = (record for record in records if _SCHEMA_KEY.fullmatch(record.key))
        self._known |= {record.key.decode(): decode_schema(record.value) for record in of_schemas}

    def _tell_differences(self, new: Registered) -> None:
        """Say in what a schema differs from the first: its rows get files of their own, which may not be meant."""
        first = min(self._known.values(), key=lambda registered: registered.number)
        if first.number < new.number:
            differs = differences(first.schema, new.schema)
            log.warning(
                "another schema, kept apart", schema=new.schema.id, files=f"*~{new.number}.csv", differs=differs
            )


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
