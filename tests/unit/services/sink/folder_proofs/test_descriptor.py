"""datapackage.json: what the specification demands of it, whatever files and columns are called."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.category_keys import file_key
from common.rows.schema import Dialect, Schema
from services.sink.folder_proofs.descriptor import encode_package, encode_table, field_names, rejected_table
from services.sink.folder_proofs.listing import ManifestListing
from services.sink.ledger.entries import REJECTED_KEY, Sums
from services.sink.paths.names import file_path
from services.sink.rendering import rejected_layout

SCHEMA = Schema(b"Sex,Length", ("Sex", "Length"))
# As the profile of version 1 demands, which is the stricter one.
NAME = re.compile(r"[-a-z0-9._/]+")
MOMENT = datetime(2026, 11, 28, 14, 2, 3, 4500, UTC)
awkward = st.sampled_from(["M", "m", "M.csv", "a b", "a-b", "a+b", "Ä", "ä", "日本", "", "..", "_receipts", "x" * 300])
texts = awkward | st.text(max_size=8)


def package_of(files: dict[str, Schema | None]) -> dict[str, Any]:
    with TemporaryDirectory() as folder:
        listing = ManifestListing(Path(folder))
    listing.add(
        (REJECTED_KEY if schema is None else file_key(schema.id, "s", ("c",)), path, Sums(at, f"{at:064x}"))
        for at, (path, schema) in enumerate(files.items())
    )
    tables = {schema.id: encode_table(schema) for schema in files.values() if schema is not None}
    tables[""] = rejected_table(rejected_layout().header_line.rstrip())
    assert set(listing.schemas()) <= tables.keys()
    pieces = encode_package(MOMENT, "f00", "1.2.3", listing.resources(tables))
    package: dict[str, Any] = json.loads(b"".join(pieces))
    listing.close()
    return package


def test_says_of_each_file_what_other_tools_need() -> None:
    other = Schema(None, ("#1", "#2"), Dialect(b";", b"", b"\r\n", "cp1252"))
    package = package_of({"Sex/M.csv": SCHEMA, "Sex/M~2.csv.gz": other, "rejected.csv": None})
    [first, second, rejected] = package.pop("resources")
    assert package == {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "id": "f00",
        "created": "2026-11-28T14:02:03.004+00:00",
        "nacre": "1.2.3",
    }
    dialect = {"delimiter": ",", "lineTerminator": "\n", "quoteChar": '"', "doubleQuote": True, "header": True}
    assert first == {
        "name": "sex-m",
        "path": "Sex/M.csv",
        "type": "table",
        "format": "csv",
        "bytes": 0,
        "hash": f"sha256:{0:064x}",
        "encoding": "utf-8",
        "dialect": dialect,
        "schema": {"fields": [{"name": "Sex", "type": "string"}, {"name": "Length", "type": "string"}]},
    }
    assert (second["path"], second["format"], second["compression"]) == ("Sex/M~2.csv.gz", "csv", "gz")
    assert second["encoding"] == "windows-1252"
    assert second["dialect"] == dialect | {
        "delimiter": ";",
        "lineTerminator": "\r\n",
        "quoteChar": "",
        "header": False,
    }
    assert (rejected["name"], rejected["dialect"]) == ("rejected", dialect)
    # A row may be rejected because of its encoding.
    assert "encoding" not in rejected
    columns = ["source", "line", "offset", "split", "code", "reason", "row"]
    assert [field["name"] for field in rejected["schema"]["fields"]] == columns


@given(st.sets(st.tuples(texts, st.lists(texts | st.none(), max_size=2).map(tuple), st.integers(1, 3)), max_size=12))
def test_every_file_has_a_name_of_its_own(files: set[tuple[str, tuple[str | None, ...], int]]) -> None:
    paths = {file_path(*file) for file in files}
    resources = package_of(dict.fromkeys(paths, SCHEMA))["resources"]
    assert [resource["path"] for resource in resources] == sorted(paths, key=str.encode)
    names = [resource["name"] for resource in resources]
    assert len(set(names)) == len(names)
    assert all(NAME.fullmatch(name) for name in names)


def test_names_are_those_of_the_files_where_they_differ_and_stay_so() -> None:
    resources = package_of(dict.fromkeys(["Sex/M.csv", "Sex/m.csv", "Rings/a b-000001.csv.zst"], SCHEMA))["resources"]
    assert [resource["name"] for resource in resources] == ["rings-a-b-000001", "sex-m", "sex-m-30c827fa9ba38f8d"]


@given(st.lists(st.sampled_from(["", "#1", "#2", "#2#", "a", "a#2", "A"]) | texts, min_size=1, max_size=8))
def test_every_column_has_a_name_of_its_own(columns: list[str]) -> None:
    names = field_names(Schema(b"", tuple(columns)))
    assert len(set(names)) == len(names) == len(columns)
    assert all(names)
    for name, column in zip(names, columns, strict=True):
        assert name == column or columns.count(column) > 1 or not column or name.startswith("#") or "#" in name


@pytest.mark.parametrize(
    ("python", "said"),
    [("utf-8", "utf-8"), ("iso8859-15", "iso-8859-15"), ("cp1250", "windows-1250"), ("koi8-r", "koi8-r")],
)
def test_encodings_are_called_as_iana_does(python: str, said: str) -> None:
    table = json.loads(encode_table(Schema(b"a", ("a",), Dialect(encoding=python))))
    assert table["encoding"] == said
    assert b"".decode(said) == ""
