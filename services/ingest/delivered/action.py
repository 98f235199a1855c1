"""The setting AFTER_DELIVERY."""

from typing import Literal

from msgspec import Struct

_MOVE = "move:"


class Action(Struct, frozen=True):
    """What becomes of a file; `folder` is where it is moved to, as it was given."""

    kind: Literal["keep", "delete", "move"]
    folder: str = ""

    @property
    def text(self) -> str:
        """As it was given."""
        return _MOVE + self.folder if self.kind == "move" else self.kind

    @property
    def keeps(self) -> bool:
        """Whether files stay where they are."""
        return self.kind == "keep"


def parse_action(text: str) -> Action:
    """Read AFTER_DELIVERY. ValueError if it is none."""
    folder = text.removeprefix(_MOVE)
    if folder != text and folder:
        return Action("move", folder)
    match text:
        case "keep" | "delete":
            return Action(text)
    raise ValueError(f"{text!r} is none of keep, delete and move:DIR")
