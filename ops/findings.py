"""What a command has found, line by line, and file paths as it shows them."""

import os
from pathlib import Path

from msgspec import Struct


class Finding(Struct, frozen=True):
    """One thing that a command has checked: whether it holds, and one line that says so."""

    holds: bool
    text: str


def shown_path(path: Path) -> str:
    """The path, relative to the working directory if it is inside that."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
