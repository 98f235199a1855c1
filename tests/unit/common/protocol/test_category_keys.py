import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.protocol.category_keys import Category, parse_row_key, row_key

TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from("%=+~\n\x7f2B"), max_size=8) | st.sampled_from(
    ["~empty", "~blank", "%7Eempty", ""]
)
CATEGORIES = st.lists(st.none() | TEXTS, max_size=3).map(tuple)


@pytest.mark.parametrize(
    ("split", "category", "key"),
    [
        ("Sex", ("M",), b"Sex=M"),
        ("Sex+Rings", ("M", "15"), b"Sex+Rings=M+15"),
        ("all", (), b"all"),
        ("Sex", (None,), b"Sex=~empty"),
        ("Sex", ("",), b"Sex=~blank"),
        ("a=b", ("x=y",), b"a%3Db=x=y"),
        ("a", ("1+1", "~empty", "100%", "two\nlines"), b"a=1%2B1+%7Eempty+100%25+two%0Alines"),
        ("Größe", ("größer",), "Größe=größer".encode()),
    ],
)
def test_a_key_is_short_and_readable(split: str, category: Category, key: bytes) -> None:
    assert row_key(split, category) == key
    assert parse_row_key(key) == (split, category)


@given(TEXTS, CATEGORIES)
def test_a_key_gives_its_category_back_and_holds_no_control_character(split: str, category: Category) -> None:
    key = row_key(split, category)
    assert parse_row_key(key) == (split, category)
    assert not any(byte < 0x20 or byte == 0x7F for byte in key)


@pytest.mark.parametrize(
    "key", [b"Sex=%4D", b"Sex=~other", b"%53ex=M", b"Sex=\n", b"Sex=%zz", b"Sex=", b'{"schema":"a","split":"b"}\n']
)
def test_what_split_never_writes_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match=r"is no key of a category|invalid"):
        parse_row_key(key)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(ValueError, match="decode"):
        parse_row_key(b"\xff")
