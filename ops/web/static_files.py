"""The files that the page is made of."""

from importlib.resources import files

_FOLDER = files("ops.web") / "static"


def own_file(name: str) -> bytes:
    """The content of one of them."""
    return (_FOLDER / name).read_bytes()
