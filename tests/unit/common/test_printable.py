"""What others wrote reaches a terminal on one line, and is never obeyed there."""

from hypothesis import given
from hypothesis import strategies as st

from common.escaping import printable


@given(st.text())
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert (shown == text) is text.isprintable()


def test_what_is_not_seen_is_its_escape() -> None:
    assert printable("a\x1b[2J\n\u202eb ä€🐌") == r"a\x1b[2J\n\u202eb ä€🐌"
