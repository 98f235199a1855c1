"""The rows that chaos tests feed: abalone's, each with its source's name and its number; some are bad."""

from pathlib import Path

_ABALONE = Path(__file__).parents[3] / "data" / "abalone_full.csv"
_LINES = _ABALONE.read_bytes().splitlines()

HEADER = _LINES[0] + b",Source,Number\n"
COLUMNS = HEADER.count(b",") + 1
_SEX, _RINGS, _SOURCE = 0, 8, 9
SPLIT_BY = "*,Source,Source+Sex,Rings:int"
SPLITS = ("all", "Source", "Source+Sex", "Rings")

# How often a row lacks a field, which ingest rejects, or has text for an int, which one split rejects.
_SHORT_EVERY = 997
_TEXT_EVERY = 499

_ROWS = [line.rsplit(b",", 1) for line in _LINES[1:]]


def make_rows(source: str, first: int, count: int) -> bytes:
    """Rows of a source, from number `first` on."""
    name = source.encode()
    made: list[bytes] = []
    for number in range(first, first + count):
        measures, rings = _ROWS[number % len(_ROWS)]
        if number % _SHORT_EVERY == _SHORT_EVERY - 1:
            made.append(b"%s,%s,%d\n" % (measures, name, number))
        elif number % _TEXT_EVERY == _TEXT_EVERY - 1:
            made.append(b"%s,many,%s,%d\n" % (measures, name, number))
        else:
            made.append(b"%s,%s,%s,%d\n" % (measures, rings, name, number))
    return b"".join(made)


def paths_of(fields: list[bytes]) -> dict[str, str | None]:
    """Where each split puts a row with all its fields: a file below the output folder, or None if it is rejected."""
    sex, rings, source = (fields[column].decode() for column in (_SEX, _RINGS, _SOURCE))
    return {
        "all": "all.csv",
        "Source": f"Source/{source}.csv",
        "Source+Sex": f"Source+Sex/{source}/{sex}.csv",
        "Rings": f"Rings/{int(rings)}.csv" if rings.isdigit() else None,
    }


def source_of(row: bytes) -> str:
    """The source that a row in a file names."""
    return row.split(b",")[_SOURCE].decode()
