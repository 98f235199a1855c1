"""What proves a run of the demo, from the input's bytes and the files' records alone. Pure."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from common.protocol.receipts import Receipt
from ops.findings import Finding

# By default, the csv module refuses fields above 128 KiB.
csv.field_size_limit(2**31 - 1)

_MODULUS = 2**64
# Latin-1 maps every byte to one character and back, so data in any encoding pass unchanged.
BYTES_AS_TEXT = "latin-1"


class ProofError(Exception):
    """The output contradicts the input in a way that leaves nothing to count."""


class Rows(Struct, frozen=True):
    """CSV rows below a header: how many, and a checksum that is the same for the same rows in any order.

    The checksum holds within this process only.
    """

    header: tuple[str, ...] | None = None
    count: int = 0
    checksum: int = 0


class CategoryFile(Struct, frozen=True):
    """A category's file as it was read back."""

    split: str
    category: str
    rows: Rows


class RejectedRow(Struct, frozen=True):
    """A rejected row: the split that did not take it ("" for all of them), and its bytes and place in the input."""

    split: str
    offset: int
    raw: bytes


class WholeFile(Struct, frozen=True):
    """The one file of a split without columns, with its SHA-256 and the expected one, in hex; None: no file."""

    path: str
    sha256: str | None
    expected_sha256: str


def count_rows(lines: Iterable[str]) -> Rows:
    """Read CSV, lines with their endings."""
    reader = csv.reader(lines)
    header = next(reader, None)
    if header is None:
        return Rows()
    count = checksum = 0
    for row in reader:
        count += 1
        checksum += hash(tuple(row))
    return Rows(tuple(header), count, checksum % _MODULUS)


def read_rejected(lines: Iterable[str]) -> list[RejectedRow]:
    """Read the file of rejected rows, opened with BYTES_AS_TEXT."""
    rows = csv.DictReader(lines)
    return [RejectedRow(_as_text(row["split"]), int(row["offset"]), row["row"].encode(BYTES_AS_TEXT)) for row in rows]


def _as_text(characters: str) -> str:
    return characters.encode(BYTES_AS_TEXT).decode()


def without(data: bytes, rejected: Sequence[RejectedRow]) -> bytes:
    """The input without these rows and their line endings. Raises ProofError if the input lacks one there."""
    kept = []
    begin = 0
    for row in sorted(rejected, key=lambda row: row.offset):
        stop = row.offset + len(row.raw)
        if row.offset < begin or data[row.offset : stop] != row.raw:
            raise ProofError(f"rejected.csv has a row at byte {row.offset} that the input does not have there")
        kept.append(data[begin : row.offset])
        ending = next((ending for ending in (b"\r\n", b"\n", b"\r") if data.startswith(ending, stop)), b"")
        begin = stop + len(ending)
    return b"".join([*kept, data[begin:]])


def prove(
    data: bytes, name: str, splits: Sequence[str], files: Sequence[CategoryFile], rejected: Sequence[RejectedRow]
) -> list[Finding]:
    """Check that all that goes into each split comes out of it, and that every file has the header of input `name`."""
    # Bytes that ingest rejected need not be a row to the csv module, so each rejection counts as one row.
    no_rows = [row for row in rejected if not row.split]
    taken = count_rows(_lines(without(data, no_rows)))
    by_text: defaultdict[Finding, list[str]] = defaultdict(list)
    for split in splits:
        of_split = [file.rows for file in files if file.split == split]
        refused = [row for row in rejected if row.split == split]
        by_text[_balance(taken, len(no_rows), of_split, refused)].append(split)
    balances = [
        Finding(finding.holds, f"{finding.text}, {_where(names, len(splits))}") for finding, names in by_text.items()
    ]
    return [*balances, _headers(taken, name, files)]


def _balance(taken: Rows, no_rows: int, files: Sequence[Rows], refused: Sequence[RejectedRow]) -> Finding:
    """Whether the rows that went in are those in the files and those refused."""
    refused_rows = [_row_checksum(row.raw) for row in refused]
    total_in = taken.count + no_rows
    out = sum(rows.count for rows in files)
    left_out = len(refused) + no_rows
    same_count = total_in == out + left_out
    same_rows = (sum(rows.checksum for rows in files) + sum(refused_rows) - taken.checksum) % _MODULUS == 0
    sign = "=" if same_count else "≠"
    sums = f"in {total_in:,} {sign} out {out:,} + rejected {left_out:,}"
    return Finding(same_count and same_rows, f"{sums}, {'the same rows' if same_rows else 'NOT the same rows'}")


def _row_checksum(raw: bytes) -> int:
    # The row needs a header line above it, here an empty one, which is not counted.
    return count_rows(_lines(b"\n" + raw + b"\n")).checksum


def _lines(data: bytes) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(data), BYTES_AS_TEXT, newline="")


def _where(names: Sequence[str], of: int) -> str:
    if len(names) == of and of > 1:
        return f"in each of {of} splits"
    return f"in split {', '.join(names)}"


def _headers(taken: Rows, name: str, files: Sequence[CategoryFile]) -> Finding:
    wrong = sum(file.rows.header != taken.header for file in files)
    if wrong:
        return Finding(holds=False, text=f"{wrong:,} of {len(files):,} files lack the header of {name}")
    return Finding(holds=True, text=f"{len(files):,} files, each with the header of {name}")


def prove_whole(whole: WholeFile, name: str, left_out: int) -> Finding:
    """Check that the one file of a split without columns is the input without its `left_out` rejected rows."""
    but_for = f" without its {left_out:,} rejected rows" if left_out else ""
    if whole.sha256 is None:
        return Finding(holds=False, text=f"{whole.path} does not exist")
    if whole.sha256 != whole.expected_sha256:
        return Finding(holds=False, text=f"{whole.path} does NOT equal {name}{but_for}")
    equal = f"{whole.path} equals {name}{but_for} byte for byte (sha256 {whole.sha256[:8]}…)"
    return Finding(holds=True, text=equal)


def prove_receipt(
    receipt: Receipt | None, path: str, name: str, data: bytes, no_rows: Sequence[RejectedRow]
) -> Finding:
    """Check that the input's receipt speaks of all its bytes and rows, and that each of its splits has all of them.

    `no_rows` are the input's bytes that were rejected for every split.
    """
    if receipt is None:
        return Finding(holds=False, text=f"{path} does not exist: {name} is not delivered")
    taken = count_rows(_lines(without(data, no_rows)))
    is_whole = (receipt.size, receipt.tally.rows, receipt.rejected.rows) == (len(data), taken.count, len(no_rows))
    splits = receipt.splits.values()
    if not is_whole or any(each.files + each.rejected_tally != receipt.tally for each in splits):
        return Finding(holds=False, text=f"{path} does NOT speak of all that {name} has")
    return Finding(holds=True, text=f"{path}: all of {name} is safe, in each of {len(receipt.splits)} splits")


def categories(splits: Sequence[str], files: Sequence[CategoryFile]) -> Mapping[str, Sequence[tuple[str, int]]]:
    """The rows per category of each split: numbers in ascending order, others by their rows, most first."""
    found: dict[str, list[tuple[str, int]]] = {split: [] for split in splits}
    for file in files:
        found[file.split].append((file.category, file.rows.count))
    return {split: _in_order(counts) for split, counts in found.items()}


def _in_order(counts: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    try:
        return sorted(counts, key=lambda item: float(item[0]))
    except ValueError:
        return sorted(counts, key=lambda item: (-item[1], item[0]))
