"""csv-spectrum, the public set of files that CSV parsers are tested with."""

import json
from pathlib import Path

import pytest

from common.rows.codec import parse_fields
from services.ingest.parsing.framing import RowBlock, frame
from services.ingest.parsing.opening import find_opening
from services.ingest.parsing.options import ReadOptions

FILES = sorted(Path(__file__).with_name("csv_spectrum").glob("*.csv"))


def read(data: bytes, options: ReadOptions) -> list[dict[str, str]]:
    """Every row of a file, by column name."""
    opening = find_opening(data, options, at_end=True)
    assert opening is not None
    assert opening.schema is not None
    dialect, columns = opening.schema.dialect, opening.schema.columns
    framed = frame(
        data[opening.consumed :],
        dialect=dialect,
        columns=len(columns),
        line=1,
        offset=0,
        at_end=True,
        max_row_bytes=1_000_000,
    )
    rows: list[bytes] = []
    for part in framed.frames:
        assert isinstance(part, RowBlock)
        rows += part.rows
    fields = [[field.decode() for field in parse_fields(row, dialect)] for row in rows]
    return [dict(zip(columns, row, strict=True)) for row in fields]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("options", [ReadOptions(), ReadOptions(delimiter=None, quote=None)], ids=["plain", "auto"])
def test_every_file_is_read_as_it_is_meant(path: Path, options: ReadOptions) -> None:
    meant = json.loads(path.with_suffix(".json").read_text())
    assert read(path.read_bytes(), options) == (meant if isinstance(meant, list) else [meant])


def test_all_files_are_there() -> None:
    assert len(FILES) == 12
