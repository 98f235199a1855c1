"""The files that pages share: the look, and uPlot as its makers published it."""

from importlib.resources import files

from msgspec import Struct

_FOLDER = files("ops.pages") / "static"


class Vendored(Struct, frozen=True):
    """A third party's file, kept here unchanged: the package and version it is from, and its expected SHA-256."""

    name: str
    package: str
    version: str
    sha256: str


UPLOT_SCRIPT = "uPlot.iife.min.js"
UPLOT_STYLE = "uPlot.min.css"
LOOK = "look.css"
# To take a newer one: `npm pack uplot`, its dist/ and LICENSE, and these lines.
VENDORED = (
    Vendored(UPLOT_SCRIPT, "uplot", "1.6.32", "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
    Vendored(UPLOT_STYLE, "uplot", "1.6.32", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
    Vendored(
        "uPlot.LICENSE.txt", "uplot", "1.6.32", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"
    ),
)


def asset(name: str) -> bytes:
    """The content of one of these files."""
    return (_FOLDER / name).read_bytes()
