"""Schemas by their numbers, which a pipeline gives them as they come."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from common.rows.schema import Schema


class Registered(Struct, frozen=True):
    """A schema and its number, from 1. Files of schema 1 have plain names, later ones a suffix."""

    number: int
    schema: Schema


def number_schema(known: Mapping[str, Registered], schema: Schema) -> Registered:
    """The schema with its number: the one that it has among those known, by their ids, or the next."""
    next_number = 1 + max((each.number for each in known.values()), default=0)
    return known.get(schema.id) or Registered(next_number, schema)


class Schemas(Protocol):
    """Where schemas are looked up by their ids."""

    async def find(self, schema_id: str) -> Registered:
        """The schema with this id."""
