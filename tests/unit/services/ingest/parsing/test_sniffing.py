"""What DELIMITER=auto and QUOTE=auto detect, and when."""

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.rows.schema import BOM, Dialect
from services.ingest.parsing.opening import Opening, find_opening
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.patience import DialectPatience
from services.ingest.parsing.sampling import SAMPLE_BYTES

AUTO = ReadOptions(delimiter=None, quote=None)


def opened(data: bytes, options: ReadOptions = AUTO, *, at_end: bool = True, hurry: bool = False) -> Opening | None:
    return find_opening(data, options, at_end=at_end, hurry=hurry)


def found(data: bytes, options: ReadOptions = AUTO) -> tuple[bytes, bytes, int]:
    """Delimiter, quote and how many columns there are."""
    opening = opened(data, options)
    assert opening is not None
    assert opening.schema is not None
    return opening.schema.dialect.delimiter, opening.schema.dialect.quote, len(opening.schema.columns)


def lines(header: str, row: Callable[[int], str], rows: int = 30) -> bytes:
    return "\n".join([header, *map(row, range(rows)), ""]).encode()


def in_columns(delimiter: str) -> Callable[[int], str]:
    return lambda n: delimiter.join([f"name {n}", f"{n / 7:.3f}", f"2026-01-{n % 28 + 1:02}", "yes" if n % 3 else ""])


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("bom", [b"", BOM])
@pytest.mark.parametrize("rows", [1, 5, 2000])
def test_the_delimiter_is_detected(delimiter: str, bom: bytes, rows: int) -> None:
    header = delimiter.join(["name", "value", "day", "flag"])
    assert found(bom + lines(header, in_columns(delimiter), rows)) == (delimiter.encode(), b'"', 4)


ONE_COLUMN = {
    "addresses": lines("mac", lambda n: f"aa:bb:cc:dd:ee:{n:02x}"),
    "IPv6": lines("address", lambda n: f"2001:db8::{n:x}:1"),
    "times": lines("time", lambda n: f"12:30:{n:02}"),
    "times with days": lines("timestamp (UTC)", lambda n: f"2026-01-{n % 28 + 1:02} 12:30:{n:02}"),
    "names": lines("full name", lambda n: f"Anna Maria Smith {n}"),
    "names with commas": lines("name", lambda n: f"Doe, John {n}"),
    "names with semicolons": lines("name", lambda n: f"Doe; John, {n}"),
    "dashes": lines("id-no", lambda n: f"12-{n}-7"),
    "hashes": lines("#id", lambda n: f"#{n}#x"),
    "assignments": lines("key=value", lambda n: f"k{n}=v{n}"),
    "addresses of pages": lines("url", lambda n: f"https://example.org/a/{n}?q=1&r=2#x"),
    "numbers with commas": lines("price", lambda n: f"{n},50"),
    "a header with a comma": lines("Hello, World", lambda n: f"word {n}"),
}


@pytest.mark.parametrize("data", ONE_COLUMN.values(), ids=ONE_COLUMN)
def test_one_column_is_one_column(data: bytes) -> None:
    delimiter, _, columns = found(data)
    assert columns == 1
    assert delimiter not in data.split(b"\n", 1)[1]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (lines("mac,rssi", lambda n: f"aa:bb:cc:dd:ee:{n:02x},-{n}"), b","),
        (lines("time;from;to", lambda n: f"12:30:{n:02};::1;fe80::{n:x}"), b";"),
        (lines("name;price", lambda n: f"x {n};{n},50"), b";"),
        (lines("pos;net, EUR;gross, EUR", lambda n: f"{n};{n},50;{n},60"), b";"),
        (lines("id,tags", lambda n: f"{n},a;b;c|d"), b","),
        (lines("file\trgb\tsize", lambda n: f"{n}.jpg\t51,{n},45\t{n}"), b"\t"),
        (lines("a,b,c", lambda n: "1,2,3" if n % 5 else "1,2"), b","),
        # R writes row names like this: rejected rows say more than one column would.
        (lines("a,b", lambda n: f"{n},1,2"), b","),
        (lines(",".join(f"column {n}" for n in range(4000)), lambda _: ",".join(["1"] * 4000), 3), b","),
    ],
)
def test_header_and_rows_have_to_agree(data: bytes, expected: bytes) -> None:
    assert found(data)[0] == expected


@pytest.mark.parametrize(
    ("encoding", "header", "row"),
    [
        ("gbk", "公司,n", "億?(0,0億"),
        ("big5", "公司,n", "功能,0功"),
        ("shift_jis", "値,n", "ソ表,0ソ"),
        ("gb18030", "公司,n", "億億,1"),
        ("utf-8", "公司,n", "億億,1"),
    ],
)
def test_a_byte_within_a_character_is_no_delimiter(encoding: str, header: str, row: str) -> None:
    data = "\n".join([header, *[row] * 20, ""]).encode(encoding)
    options = ReadOptions(delimiter=None, quote=None, encoding=encoding)
    assert found(data, options) == (b",", b'"', 2)
    assert found(data) == (b",", b'"', 2), "as if it were UTF-8"
    tabs = data.replace(b",", b"\t")
    assert found(tabs, options) == found(tabs) == (b"\t", b'"', 2)


def test_a_pipe_behind_a_letter_of_latin_1_delimits() -> None:
    data = "\n".join(["prénom|ville", *[f"René{n}|Orléans" for n in range(9)], "José|Nîmes", ""]).encode("latin-1")
    assert found(data)[0] == b"|"


def test_a_delimiter_that_may_be_part_of_a_character_is_refused_with_what_to_do() -> None:
    data = "city|n\n大阪|1\n東京|2\n".encode("shift_jis")
    with pytest.raises(ValueError, match=r"'\|', which may be part of a character in ENCODING=shift_jis: convert"):
        opened(data, ReadOptions(delimiter=None, encoding="shift_jis"))


QUOTES = [
    (b"a,b\n'x,y',1\n'z, w',2\n'v',3\n", b",", b"'"),
    (b"a,b\n'x',1\n'it''s',2\n", b",", b"'"),
    (b'a;b\n"x;y";1\n"z;w";2\n', b";", b'"'),
    (lines("id\ttext\tS", lambda n: f'{n}\t"{n} inch" pipe\tM'), b"\t", b""),
    (lines("id\ttext\tS", lambda n: f'{n}\t"Hello {n}\tM'), b"\t", b""),
    # One wrong line does not outvote the others.
    (lines("a,b", lambda n: f'"{n}","x, y"' if n != 7 else '"7" x,"y"'), b",", b'"'),
    (lines("a,b", lambda n: f"{n},rock 'n' roll"), b",", b'"'),
    (lines("a,b", lambda n: f"{n},'tis {n}"), b",", b'"'),
    (lines("a,b", lambda n: f'{n},5" pipe'), b",", b'"'),
]


@pytest.mark.parametrize(("data", "delimiter", "quote"), QUOTES)
def test_quotes_are_detected(data: bytes, delimiter: bytes, quote: bytes) -> None:
    assert found(data)[:2] == (delimiter, quote)
    assert found(data, ReadOptions(delimiter=delimiter, quote=None))[:2] == (delimiter, quote)
    if quote:
        assert found(data, ReadOptions(delimiter=None, quote=quote))[:2] == (delimiter, quote)


@pytest.mark.parametrize("data", [b"timestamp (UTC)", b"id;S;v\n", b"a,b,c\r\n", BOM + b"a\n", b'"a\nb";c\n'])
def test_a_header_alone_decides_nothing(data: bytes) -> None:
    assert opened(data) is None
    assert opened(data, hurry=True, at_end=False) is None


def test_a_row_alone_is_read_where_there_is_no_header() -> None:
    options = ReadOptions(header="none", delimiter=None, quote=None)
    assert found(b"1;2;3\n", options) == (b";", b'"', 3)
    assert found(b"12:30:45\n", options)[2] == 1


def test_detection_waits_for_a_sample_for_the_end_or_until_it_has_waited_enough() -> None:
    data = b"a;b\n1;2\n"
    assert opened(data, at_end=False) is None
    for early in (opened(data), opened(data, hurry=True, at_end=False)):
        assert early is not None
        assert early.schema is not None
        assert early.schema.dialect == Dialect(b";")
    assert opened(data * SAMPLE_BYTES, at_end=False) is not None


def test_a_source_hurries_a_second_after_its_first_complete_lines_and_says_once_why_it_waits() -> None:
    patience = DialectPatience()
    assert not patience.hurries(b"", AUTO, 1.0)
    for now in (1.0, 2.5, 9.0):
        assert not patience.hurries(b"a;b\n1;", AUTO, now)
    assert "header alone" in patience.news(b"a;b\n1;", AUTO, 9.0, at_end=False)
    assert patience.news(b"a;b\n1;", AUTO, 9.0, at_end=True) == ""
    assert not patience.hurries(b"a;b\n1;2\n", AUTO, 10.0)
    assert patience.hurries(b"a;b\n1;2\n3;4\n", AUTO, 11.0)
    assert not DialectPatience().hurries(b"a;b\n1;2\n", ReadOptions(), 99.0)
    assert DialectPatience().news(b"a", ReadOptions(), 99.0, at_end=True) == ""


PIECES = [
    b",",
    b";",
    b"|",
    b"\t",
    b'"',
    b'""',
    b"'",
    b"\n",
    b"\n",
    b"\r\n",
    b"a",
    b"\xe9",
    b"\x83|",
    b"1,5",
    b"\0",
    b" ",
]


@given(
    st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join),
    st.sampled_from(["utf-8", "gbk", "latin-1"]),
    st.sampled_from(["first", "none"]),
)
def test_any_sample_is_read_with_the_dialect_that_is_detected(data: bytes, encoding: str, header: str) -> None:
    options = ReadOptions(header, None, None, encoding)  # type: ignore[arg-type] # one of two texts
    try:
        opening = opened(data, options)
    except ValueError:
        return
    if opening is None or opening.schema is None:
        return
    dialect = opening.schema.dialect
    assert dialect.delimiter in b",;|\t"
    assert dialect.quote in (b"", b'"', b"'")
    given_by_hand = opened(data, ReadOptions(header, dialect.delimiter, dialect.quote, encoding))  # type: ignore[arg-type] # same
    assert given_by_hand == opening


SLOW = {
    "addresses of pages": b"url\n" + b"".join(b"https://example.org/%d/?q=a,b;c&r=%d#x\n" % (n, n) for n in range(400)),
    "quotes": b'"a,"\n' * 4000,
    "doubled quotes": b"a,b\n" + b',"""\n' * 4000,
    "quotes and blanks": b"a \"b\" 'c'," * 4000 + b"\n",
    "apostrophes": b"a,b\n" + b"'x\n" * 9000,
    "delimiters": b",;|\t" * 60_000 + b"\n" + b",;|\t" * 5_000 + b"\n",
    "noise": random.Random(7).randbytes(300_000),  # noqa: S311 - no secret
    "marks": bytes(random.Random(7).choices(b"\n\r,;|\t\"' a", k=300_000)),  # noqa: S311 - no secret
}


@pytest.mark.parametrize("data", SLOW.values(), ids=SLOW)
def test_detection_takes_no_longer_than_a_fifth_of_a_second(data: bytes) -> None:
    for at_end in (True, False):
        began = time.process_time()
        opened(data, at_end=at_end)
        assert time.process_time() - began < 0.2
