import pytest

from services.ingest.delivered.action import Action, parse_action


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("keep", Action("keep")),
        ("delete", Action("delete")),
        ("move:done", Action("move", "done")),
        ("move:/a b/c:d", Action("move", "/a b/c:d")),
    ],
)
def test_what_is_said_is_read_and_told_again(text: str, action: Action) -> None:
    assert parse_action(text) == action
    assert action.text == text
    assert action.keeps == (text == "keep")


@pytest.mark.parametrize("text", ["", "move", "move:", "Delete", "remove", "keep:x", " keep"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is none of keep, delete and move:DIR"):
        parse_action(text)
