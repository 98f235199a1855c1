"""`datapackage.json`: what is in the output folder, as a Data Package (https://datapackage.org, version 2). Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from hashlib import blake2b

import orjson
from msgspec import Struct

from common.rows.schema import Dialect, Schema
from services.sink.ledger.entries import Sums

_PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
# By the endings that sink gives finished files.
_COMPRESSIONS = {".gz": "gz", ".zst": "zst"}
_ENDING = re.compile(r"\.csv(?:\.gz|\.zst)?\Z")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_NOT_IN_NAMES = re.compile(r"[^a-z0-9._-]")
# Python's names of encodings that are not those of IANA.
_ISO_8859 = re.compile(r"iso8859-([0-9]+)")
_CP125X = re.compile(r"cp(125[0-9])")
_DIGEST_BYTES = 8


class Resource(Struct, frozen=True):
    """A file of the folder. `table` is what `encode_table` gives."""

    name: str
    path: str
    sums: Sums
    table: bytes


def encode_package(moment: datetime, folder: str, nacre: str, resources: Iterable[Resource]) -> Iterator[bytes]:
    """Yield the descriptor piece by piece, a line for each file: there may be very many."""
    head = {
        "$schema": _PROFILE,
        "id": folder,
        "created": moment.isoformat(timespec="milliseconds"),
        "nacre": nacre,
        "resources": [],
    }
    yield orjson.dumps(head).removesuffix(b"]}")
    separator = b"\n"
    for resource in resources:
        yield separator + encode_resource(resource)
        separator = b",\n"
    yield b"\n]}\n"


def encode_resource(resource: Resource) -> bytes:
    """A file, as JSON on a line."""
    fields = {
        "name": resource.name,
        "path": resource.path,
        "type": "table",
        "format": "csv",
        "bytes": resource.sums.size,
        "hash": f"sha256:{resource.sums.sha256}",
    }
    for ending, compression in _COMPRESSIONS.items():
        if resource.path.endswith(ending):
            fields["compression"] = compression
    return orjson.dumps(fields)[:-1] + b"," + resource.table[1:]


def encode_table(schema: Schema, encoding: str | None = None) -> bytes:
    """What files of a schema have in common, as a JSON object; `encoding` None: their schema's, "": none is said."""
    dialect = schema.dialect
    said = encoding_name(dialect.encoding) if encoding is None else encoding
    return orjson.dumps(
        ({"encoding": said} if said else {})
        | {
            "dialect": {
                "delimiter": dialect.delimiter.decode("latin-1"),
                "lineTerminator": dialect.eol.decode("latin-1"),
                "quoteChar": dialect.quote.decode("latin-1"),
                "doubleQuote": True,
                "header": schema.header is not None,
            },
            "schema": {"fields": [{"name": name, "type": "string"} for name in field_names(schema)]},
        }
    )


def rejected_table(header: bytes) -> bytes:
    """The table of the file of rejected rows, which may be in any encoding."""
    return encode_table(Schema(header, tuple(header.decode().split(",")), Dialect()), "")


def field_names(schema: Schema) -> list[str]:
    """The names of the columns, each another one, and none empty."""
    names = list(schema.keys)
    for at, name in enumerate(names):
        if not name:
            names[at] = f"#{at + 1}"
            while names.count(names[at]) > 1:
                names[at] += "#"
    return names


def encoding_name(python_name: str) -> str:
    """IANA's name of an encoding."""
    return _CP125X.sub(r"windows-\1", _ISO_8859.sub(r"iso-8859-\1", python_name))


def resource_name(path: str, attempt: int = 0) -> str:
    """A name for a file: its path in lower case, if nothing else has that name; the further attempts differ."""
    stem = _ENDING.sub("", path)
    # Letters of other scripts by their bytes, so that names differ where they do.
    plain = stem if stem.isascii() else _NOT_ASCII.sub(lambda signs: signs[0].encode().hex(), stem)
    name = _NOT_IN_NAMES.sub("-", plain.lower())
    if not attempt:
        return name
    digest = blake2b(f"{attempt}{path}".encode(), digest_size=_DIGEST_BYTES)
    return f"{name}-{digest.hexdigest()}"
