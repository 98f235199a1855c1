"""Contents → the page as HTML, in one file that asks for no other. Pure but for the templates beside it.

Every text is escaped for HTML, and what no eye can see in it, such as a control character, is shown by its number.
"""

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from importlib.resources import files

from jinja2 import Environment, FunctionLoader, StrictUndefined

from common.escaping import printable
from common.version import VERSION
from ops.pages.assets import LOOK, asset
from ops.report import plots
from ops.report.contents import Contents
from ops.report.gathering import MOST_FILES, MOST_LISTED
from ops.verify.balance import Standing
from ops.view.gathering import closes
from services.sink.tallies.latencies import bound_of

_FOLDER = files("ops.report") / "templates"
_TEMPLATE = "report.html.j2"
_STYLE = "report.css"
# What is longer is cut: a category has up to 65,536 bytes.
_MOST_CHARACTERS = 200
# The look's classes of verdicts.
_CLASSES = {"complete": "ok", "wrong": "stalled"}
# Of a source, the word and the look's class.
_STATES = {
    Standing.DELIVERED: ("delivered", "ok"),
    Standing.OLDER: ("not known", "behind"),
    Standing.UNDER_WAY: ("under way", "behind"),
    Standing.GROWN: ("grown", "behind"),
    Standing.OFF: ("wrong", "stalled"),
}


def render_page(contents: Contents, made_ms: int, *, lists_all: bool, shows_rows: bool) -> str:
    """The page; `made_ms` is the moment at which it is made (ms since 1970)."""
    style = asset(LOOK).decode() + _text(_STYLE)
    return (
        _environment()
        .get_template(_TEMPLATE)
        .render(
            found=contents,
            name=contents.root.resolve().name,
            style=style,
            policy=f"default-src 'none'; style-src 'sha256-{_digest(style)}'; base-uri 'none'; form-action 'none'",
            verdict_class=_CLASSES.get(contents.verdict.standing, "behind"),
            latency_plot=plots.plot_latencies(contents.latencies),
            rows_plot=plots.plot_safe_rows(contents.safe_times),
            plots=plots,
            states={standing.name: shown for standing, shown in _STATES.items()},
            bound_of=bound_of,
            closes=closes,
            made_ms=made_ms,
            version=VERSION,
            lists_all=lists_all,
            shows_rows=shows_rows,
            most_listed=MOST_LISTED,
            most_files=MOST_FILES,
        )
    )


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=FunctionLoader(_text),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": _number, "ms": plots.shown_ms, "utc": _utc, "iso": _iso, "cut": _cut}
    return environment


def _text(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return b64encode(sha256(text.encode()).digest()).decode()


def _shown(value: object) -> object:
    return printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _number(count: int) -> str:
    return f"{count:,}"


def _utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}… ({len(text):,} characters)"
