import tomllib
from hashlib import sha256
from pathlib import Path

import pytest

from ops.pages.assets import LOOK, UPLOT_SCRIPT, VENDORED, Vendored, asset

ROOT = Path(__file__).parents[4]
# The least contrast that WCAG 2.2 AA accepts between a text and what is behind it.
READABLE = 4.5
# All colours of texts and lines, and what they stand on.
_INKS = ("ink", "soft", "ingest", "split", "sink", "rejected", "ok", "behind", "stalled", "stopped")
_GROUNDS = ("ground", "card")


@pytest.mark.parametrize("vendored", VENDORED, ids=lambda each: each.name)
def test_vendored_files_are_as_their_makers_published_them(vendored: Vendored) -> None:
    assert sha256(asset(vendored.name)).hexdigest() == vendored.sha256


def test_the_script_is_of_the_version_that_is_said() -> None:
    version = next(each.version for each in VENDORED if each.name == UPLOT_SCRIPT)
    assert f"(v{version})".encode() in asset(UPLOT_SCRIPT)[:100]


def test_the_licence_of_what_is_vendored_goes_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "ops/pages/static/uPlot.LICENSE.txt" in project["license-files"]
    assert "MIT" in project["license"]


@pytest.mark.parametrize("ground", _GROUNDS)
@pytest.mark.parametrize("ink", _INKS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_colour_can_be_read_on_every_ground(scheme: str, ink: str, ground: str) -> None:
    colours = _colours(scheme)
    assert _contrast(colours[ink], colours[ground]) >= READABLE


def _colours(scheme: str) -> dict[str, str]:
    """The custom properties of this scheme that are colours."""
    light, dark, *_ = (block.partition("}")[0] for block in asset(LOOK).decode().split(":root {")[1:])
    lines = [line.strip(" ;").split(": ") for line in (dark if scheme == "dark" else light).splitlines()]
    return {name.removeprefix("--"): value for name, value in (line for line in lines if line[0].startswith("--"))}


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    """As WCAG defines it, of a colour `#rrggbb`."""
    shares = [value / 255 for value in bytes.fromhex(colour.removeprefix("#"))]
    red, green, blue = (each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
