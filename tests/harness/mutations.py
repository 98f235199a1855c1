"""Changes to an output folder, one at a time: a byte, a row, a file. Rows in it hold no line breaks."""

import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from common.protocol.output_folder import LEDGERS, is_reserved

KINDS = ("byte", "drop", "double", "swap", "move", "cut", "add")

_COPY = "-copy.csv"
_BETWEEN = 128


@dataclass(frozen=True, slots=True)
class Mutation:
    """What was changed: of which kind, and the files that are not what they were, with what they hold."""

    kind: str
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]

    @property
    def paths(self) -> Sequence[str]:
        """The files that differ; none if equal rows were exchanged."""
        return [path for path, content in self.after.items() if content != self.before.get(path)]


def files_of(root: Path) -> list[str]:
    """The paths of all files of categories, and that of rejected rows."""
    paths = (str(path.relative_to(root)) for path in sorted(root.rglob("*")) if path.is_file())
    return [path for path in paths if not is_reserved(path)]


@contextmanager
def mutated(root: Path, kind: str, rng: random.Random, *, forge: bool = False) -> Iterator[Mutation]:
    """One change, undone afterwards.

    `forge`: the ledgers are made to say what the files then hold, as if sink had written it so. Rejected rows are then
    left alone: the words of their reasons stand in no source.
    """
    files = {path: (root / path).read_bytes() for path in files_of(root) if not forge or path != "rejected.csv"}
    change = _change(kind, files, rng)
    for path, content in change.after.items():
        _write(root, path, content, forge=forge)
    try:
        yield change
    finally:
        for path in change.after:
            if path in change.before:
                _write(root, path, change.before[path], forge=forge)
            else:
                (root / path).unlink()


def _change(kind: str, files: Mapping[str, bytes], rng: random.Random) -> Mutation:
    headers = {path: content.splitlines()[0] for path, content in files.items()}
    # A row is moved between files of one header.
    shared = [path for path, header in headers.items() if list(headers.values()).count(header) > 1]
    path = rng.choice(shared if kind == "move" else list(files))
    content = files[path]
    if kind == "add":
        return Mutation(kind, {}, {path.replace(".csv", _COPY): content})
    if kind == "byte":
        at = rng.randrange(len(content))
        other = bytes([(content[at] + rng.randrange(1, 2 * _BETWEEN)) % (2 * _BETWEEN)])
        return Mutation(kind, {path: content}, {path: content[:at] + other + content[at + 1 :]})
    if kind == "cut":
        return Mutation(kind, {path: content}, {path: content[: rng.randrange(len(content))]})
    header, *rows = content.splitlines(keepends=True)
    at = rng.randrange(len(rows))
    after = {}
    match kind:
        case "drop":
            after[path] = [*rows[:at], *rows[at + 1 :]]
        case "double":
            after[path] = [*rows[: at + 1], *rows[at:]]
        case "swap":
            after[path] = [*rows[:at], *rows[at : at + 2][::-1], *rows[at + 2 :]]
        case "move":
            target = rng.choice([each for each in shared if each != path and headers[each] == headers[path]])
            there = files[target].splitlines(keepends=True)[1:]
            to = rng.randrange(len(there) + 1)
            after = {path: [*rows[:at], *rows[at + 1 :]], target: [*there[:to], rows[at], *there[to:]]}
    before = {each: files[each] for each in after}
    return Mutation(kind, before, {each: header + b"".join(lines) for each, lines in after.items()})


def _write(root: Path, path: str, content: bytes, *, forge: bool) -> None:
    (root / path).write_bytes(content)
    if not forge:
        return
    rows = len(content.splitlines()[1:])
    for ledger in root.glob(LEDGERS):
        with closing(sqlite3.connect(ledger)) as database:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(
                "UPDATE files SET length = ?, rows = ?, checksum = ? WHERE path = ?",
                (len(content), rows, crc32(content), path),
            )
            database.commit()
