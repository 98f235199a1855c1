"""The compacted topic `schemas`: what a pipeline was begun with, and its schemas, numbered as they came."""

import asyncio
import base64
import re
from collections.abc import Sequence
from functools import partial

import orjson
import structlog
from aiokafka import AIOKafkaConsumer
from msgspec.structs import replace

from common.batches.record_runs import Record, key_of
from common.errors import ConfigurationError, RecordTooLargeError, ServiceError
from common.kafka.fenced_topic import FencedTopic, KeyValue
from common.pipeline.schema_numbers import Registered, number_schema
from common.pipeline.topics import Topics
from common.protocol.decoding import as_written
from common.protocol.identity import (
    Identity,
    check_version,
    decode_identity,
    encode_identity,
    with_known_ids,
    with_newest_format,
)
from common.rows.schema import Dialect, Schema
from common.rows.schema_differences import differences, find_closest
from common.settings import ServiceSettings

log = structlog.get_logger()

# Incremented with every change that an older service must not ignore.
_VERSION = 1
_MOST_COMPARED = 1_000
_LOGGED_COUNTS = frozenset(10**power for power in range(1, 10))
_IDENTITY_KEY = b"pipeline"
_POSITIONS_KEY = b"positions"
# Nearly what a topic takes by default. A larger MAX_ROW_BYTES needs a larger limit of the topic anyway.
_MOST_RECORD_BYTES = 1_000_000
# How many column names are logged, and how many characters of each.
_MOST_SHOWN = 100
_SCHEMA_KEY = re.compile(rb"[0-9a-f]{12}")


class Registry:
    """Looks up schemas, and registers new ones.

    `begun` is the identity that the pipeline was begun with, None while none is known. `has_positions`: split has
    committed a position in every partition of `rows`, which it does before it processes any row.
    """

    def __init__(self, settings: ServiceSettings, topics: Topics) -> None:
        self.topics = topics
        self._name = topics.schemas
        self._topic = FencedTopic(settings, topics.schemas, self._take)
        self._known: dict[str, Registered] = {}
        # By id, why a schema's record is too large.
        self._refused: dict[str, str] = {}
        self._settings = settings
        self.begun: Identity | None = None
        self.has_positions = False
        # How many schemas this process has registered that resemble no earlier one.
        self._unlike = 0
        self._lock = asyncio.Lock()

    async def read(self, consumer: AIOKafkaConsumer) -> None:
        """Take the records that came since the last read, with this consumer."""
        async with self._lock:
            await self._topic.read(consumer)

    async def begin(self, now: Identity) -> Identity:
        """Record what the pipeline begins with, unless it has begun; add ids known since; return what is recorded."""
        async with self._lock:
            if self.begun is None or with_known_ids(self.begun, now) != self.begun:
                for _, value in await self._topic.append(partial(self._pin, now)):
                    self.begun = decode_identity(value)
            assert self.begun is not None  # noqa: S101 - appended now, or read before
            return self.begun

    def _pin(self, now: Identity) -> list[KeyValue]:
        pinned = now if self.begun is None else with_known_ids(self.begun, now)
        return [] if pinned == self.begun else [(_IDENTITY_KEY, encode_identity(pinned))]

    async def upgrade(self, now: Identity) -> None:
        """Record that the pipeline goes on in the newest format, with the topics that this has beside the others."""
        async with self._lock:
            await self._topic.append(partial(self._upgraded, now))

    def _upgraded(self, now: Identity) -> list[KeyValue]:
        assert self.begun is not None  # noqa: S101 - the caller has checked
        upgraded = with_newest_format(self.begun, now)
        return [] if upgraded == self.begun else [(_IDENTITY_KEY, encode_identity(upgraded))]

    async def note_positions(self) -> None:
        """Record that every partition of `rows` has a position, unless that is recorded."""
        async with self._lock:
            if not self.has_positions:
                await self._topic.append(self._positions_noted)
                self.has_positions = True

    def _positions_noted(self) -> list[KeyValue]:
        return [] if self.has_positions else [(_POSITIONS_KEY, orjson.dumps({"version": _VERSION}))]

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
        """Return the schema with its number, after giving it the next one if it has none.

        RecordTooLargeError when the topic takes no record of its size; that is tried once for each schema.
        """
        async with self._lock:
            if schema.id not in self._known:
                await self._topic.read()
            if schema.id not in self._known:
                for _, value in await self._append(schema):
                    registered = decode_schema(value)
                    self._known[schema.id] = registered
                    log.info("new schema", schema=schema.id, number=registered.number, columns=_shown(schema.columns))
                    self._log_differences(registered)
            return self._known[schema.id]

    async def _append(self, schema: Schema) -> Sequence[KeyValue]:
        if schema.id not in self._refused:
            excess = find_oversize(schema, self._settings)
            if not excess:
                try:
                    return await self._topic.append(partial(self._number, schema))
                except RecordTooLargeError:
                    # The error's own advice is for rows, whose size MAX_ROW_BYTES limits; a header has no such setting.
                    excess = f"as a record larger than topic {self._name} takes: set its max.message.bytes higher"
            self._refused[schema.id] = excess
        raise RecordTooLargeError(self._refused[schema.id])

    def _number(self, schema: Schema) -> list[KeyValue]:
        """The record that gives the schema the next number; none where it has one."""
        if schema.id in self._known:
            return []
        return [(schema.id.encode(), encode_schema(number_schema(self._known, schema)))]

    def _take(self, records: Sequence[Record]) -> None:
        try:
            for record in records:
                if record.key == _IDENTITY_KEY:
                    self.begun = decode_identity(record.value)
                elif record.key == _POSITIONS_KEY:
                    check_version(orjson.loads(record.value), _VERSION)
                    self.has_positions = True
                elif _SCHEMA_KEY.fullmatch(key_of(record)):
                    self._known[key_of(record).decode()] = decode_schema(record.value)
        except ValueError as error:
            raise ServiceError(f"topic {self._name}: a record is {error}") from None

    def _log_differences(self, new: Registered) -> None:
        """Log how a new schema differs from the earlier one that it resembles most: its rows get files of their own.

        A small difference may be a mistake, so the log says what differs. Of schemas that resemble none, it names the
        first and then counts them.
        """
        earlier = sorted((known for known in self._known.values() if known.number < new.number), key=_number_of)
        near = find_closest(new.schema, [known.schema for known in earlier[:_MOST_COMPARED]])
        self._unlike += near is None and bool(earlier)
        if near is not None or self._unlike == 1:
            like = self._known[near.id] if near is not None else earlier[0]
            log.warning(
                "another schema, kept apart",
                schema=new.schema.id,
                files=f"*~{new.number}.csv",
                like=like.number,
                differs=differences(like.schema, new.schema),
            )
        elif self._unlike in _LOGGED_COUNTS:
            log.warning("schemas unlike any before, each kept apart", count=self._unlike, files=f"*~{new.number}.csv")


def find_oversize(schema: Schema, settings: ServiceSettings) -> str:
    """Say that a schema's record is too large for the topic; "" where it is not."""
    size, most = len(encode_schema(Registered(0, schema))), max(_MOST_RECORD_BYTES, settings.max_batch_bytes)
    return f"{size} bytes as a record, at most {most}" if size > most else ""


def _number_of(registered: Registered) -> int:
    return registered.number


def _shown(columns: Sequence[str]) -> list[str]:
    """The names, cut to what a person reads."""
    shown = [name if len(name) <= _MOST_SHOWN else f"{name[:_MOST_SHOWN]}…" for name in columns[:_MOST_SHOWN]]
    return shown if len(columns) <= _MOST_SHOWN else [*shown, f"and {len(columns) - _MOST_SHOWN} more"]


def encode_schema(registered: Registered) -> bytes:
    """A schema as JSON; `columns` are for people, `header` is the header record's exact bytes in base64."""
    schema = registered.schema
    return orjson.dumps(
        {
            "version": _VERSION,
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
    """The schema that `encode_schema` wrote. ValueError for an unknown version."""
    with as_written():
        fields = orjson.loads(value)
        check_version(fields, _VERSION)
        marks = (fields[name].encode("latin-1") for name in ("delimiter", "quote", "eol"))
        dialect = replace(Dialect(*marks), encoding=fields["encoding"])
        header = None if fields["header"] is None else base64.b64decode(fields["header"])
        return Registered(fields["number"], Schema(header, tuple(fields["columns"]), dialect, fields["row_format"]))
