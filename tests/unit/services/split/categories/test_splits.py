import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.split.categories.splits import Column, Float, Int, Kind, Split, Text, parse_split_by


@pytest.mark.parametrize(
    ("text", "splits"),
    [
        ("Sex,Rings", (Split("Sex", (Column("Sex"),)), Split("Rings", (Column("Rings"),)))),
        ("Sex+Rings", (Split("Sex+Rings", (Column("Sex"), Column("Rings"))),)),
        ("Rings:int", (Split("Rings", (Column("Rings", Int()),)),)),
        ("Length:float/0.1", (Split("Length", (Column("Length", Float(Decimal("0.1"))),)),)),
        ("Length:float", (Split("Length", (Column("Length", Float()),)),)),
        ("Length:text", (Split("Length", (Column("Length", Text()),)),)),
        ("#1", (Split("#1", (Column(1),)),)),
        ("#1:int+#12", (Split("#1+#12", (Column(1, Int()), Column(12))),)),
        ("*", (Split("all", ()),)),
        ("x=*", (Split("x", ()),)),
        ("age=Rings:int", (Split("age", (Column("Rings", Int()),)),)),
        ("Whole weight", (Split("Whole weight", (Column("Whole weight"),)),)),
        ('"a,b":int', (Split("a,b", (Column("a,b", Int()),)),)),
        ('"a""b"', (Split('a"b', (Column('a"b'),)),)),
        ('"#1"', (Split("#1", (Column("#1"),)),)),
        ('"*"', (Split("*", (Column("*"),)),)),
        ('x=""', (Split("x", (Column(""),)),)),
        ('"a=b"="c=d"', (Split("a=b", (Column("c=d"),)),)),
        ('" a "', (Split(" a ", (Column(" a "),)),)),
        ("#a", (Split("#a", (Column("#a"),)),)),
        (
            "  Sex ,\tage = Rings : int + Length : float / .5\n",
            (
                Split("Sex", (Column("Sex"),)),
                Split("age", (Column("Rings", Int()), Column("Length", Float(Decimal("0.5"))))),
            ),
        ),
        (
            "Rings,bins=Rings:float/10",
            (Split("Rings", (Column("Rings"),)), Split("bins", (Column("Rings", Float(Decimal(10))),))),
        ),
    ],
)
def test_reads_what_the_grammar_allows(text: str, splits: tuple[Split, ...]) -> None:
    assert parse_split_by(text) == splits


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "SPLIT_BY is empty: name a column, as in SPLIT_BY=Sex, or * for one file of all rows"),
        (" \n", "SPLIT_BY is empty: name a column, as in SPLIT_BY=Sex, or * for one file of all rows"),
        ("Rings,Rings:int", "two splits are named Rings: name one of them, as in x=Rings:int"),
        ("all,*", "two splits are named all: name one of them, as in x=*"),
        ("a=Sex,a=Rings", "two splits are named a: name one of them, as in x=Rings"),
        ("Sex,", "a split is empty in SPLIT_BY: remove the comma too many, or name a column beside it"),
        ('"Sex', "a double quote is not closed in '\"Sex': close it, or double it inside a name"),
        ("a=b=c", "more than one = in 'a=b=c': put double quotes around a name that holds ="),
        ("a:int:int", "more than one : in 'a:int:int': put double quotes around a name that holds :"),
        ("x=a+:int", "a column is missing in 'x=a+:int': write its name there, \"\" if its name is empty"),
        ("=a", "the split '=a' has no name: put one before it, as in x=a"),
        ('""', 'the split \'""\' has no name: put one before it, as in x=""'),
        (
            "a:number",
            (
                "unknown type 'number' in 'a:number': use text, int, float or float/STEP, "
                "or put double quotes around a name that holds :"
            ),
        ),
        (
            "#0",
            (
                "'#0' is no position in '#0': count from #1, without leading zeros; "
                "double quotes go around a name that looks like one"
            ),
        ),
        (
            "*+a",
            (
                "* stands beside something else in '*+a': write it alone, as in *, or x=*; "
                "double quotes go around a column of that name"
            ),
        ),
        (
            'a"b"',
            (
                "a double quote stands inside the name 'a\"b\"' in 'a\"b\"': "
                "put the whole name in double quotes and double those inside"
            ),
        ),
        (
            "a:float/0.0",
            (
                "the step '0.0' in 'a:float/0.0' is no positive decimal number of at most 30 characters: "
                "write it as in float/0.1"
            ),
        ),
    ],
)
def test_says_what_is_wrong_where_and_what_to_do(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_split_by(text)


@pytest.mark.parametrize(
    "text",
    [
        *("#01", "#0000001", "#1234567", "*:int", "a,*+b", "int/5:int/5", "a:float/", "a:float/-1", "a:float/1e3"),
        *("a:float/nan", "a:float/\u0661", "a:float/" + "1" * 31, "a:Int", "a:", "a+", "+a", ",", "a:text/1", "a,,b"),
        *('"a"b', 'a"b,c"d', '"a', "a\n=b=c"),
    ],
)
def test_refuses_the_rest_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^.+\Z") as caught:
        parse_split_by(text)
    assert str(caught.value).isprintable()


_kinds: st.SearchStrategy[tuple[str, Kind]] = st.sampled_from(
    [("", Text()), (":text", Text()), (":int", Int()), (":float", Float()), (":float/0.25", Float(Decimal("0.25")))]
)
_names = st.text(min_size=1, max_size=6) | st.text('",+:=*#1 a', min_size=1, max_size=6)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@settings(max_examples=80)
@given(st.dictionaries(_names, st.lists(st.tuples(_names, _kinds), max_size=3), min_size=1, max_size=3))
def test_any_name_can_be_quoted(wanted: dict[str, list[tuple[str, tuple[str, Kind]]]]) -> None:
    pieces = [
        f"{_quoted(name)}=" + ("+".join(_quoted(column) + suffix for column, (suffix, _) in columns) or "*")
        for name, columns in wanted.items()
    ]
    splits = tuple(
        Split(name, tuple(Column(column, kind) for column, (_, kind) in columns)) for name, columns in wanted.items()
    )
    assert parse_split_by(",".join(pieces)) == splits
    assert parse_split_by(",".join(split.text for split in splits)) == splits
    for split in splits:
        assert parse_split_by(f"x={split.definition}") == (Split("x", split.columns),)


def test_a_definition_is_written_one_way_whatever_the_spelling() -> None:
    spellings = ("Rings : int", '"Rings":int', "x=Rings:int", "Length:float/.1+Sex:text", "*", "all=*", "#1")
    written = [split.definition for text in spellings for split in parse_split_by(text)]
    assert written == ["Rings:int", "Rings:int", "Rings:int", "Length:float/0.1+Sex", "*", "*", "#1"]
    texts = [split.text for text in ("x=Rings:int", "Rings=Rings:int", "*", "a=*") for split in parse_split_by(text)]
    assert texts == ["x=Rings:int", "Rings:int", "*", "a=*"]


@settings(max_examples=150)
@given(st.text('ab",+:=*#10/ \n', max_size=15))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        splits = parse_split_by(text)
    except ValueError as error:
        assert str(error).isprintable()  # noqa: PT017 - a ValueError is allowed here, not required
    else:
        assert splits
        assert all(split.name for split in splits)
        assert len({split.name for split in splits}) == len(splits)
