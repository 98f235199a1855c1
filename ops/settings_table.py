"""`nacre settings`: every setting of the three services as one Markdown table, generated from their models."""

import re
import sys
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from common.setting import Setting, settings_of
from common.settings import ServiceSettings
from common.settings_reader import ParserWithExamples
from ops.command_line import discard_output
from services.ingest.settings import IngestSettings
from services.sink.settings import SinkSettings
from services.split.settings import SplitSettings

Models = Mapping[str, type[ServiceSettings]]

MODELS: Models = MappingProxyType({"ingest": IngestSettings, "split": SplitSettings, "sink": SinkSettings})

_HEADINGS = ("setting", "services", "default", "what")


def main(argv: list[str]) -> int:
    """Print the table."""
    ParserWithExamples(
        prog="nacre settings",
        description="Print every setting of the three services, as a Markdown table.",
        examples=("nacre settings",),
    ).parse_args(argv)
    try:
        sys.stdout.write(settings_table(MODELS))
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    return 0


def settings_table(models: Models) -> str:
    """One row per setting with the services that have it, the most widely shared first."""
    services_by_row: dict[tuple[str, str, str], list[str]] = {}
    for service, model in models.items():
        for each in settings_of(model):
            # A setting that differs between services gets a row for each of its meanings.
            services_by_row.setdefault((f"`{each.variable}`", _default(each), _what(each)), []).append(service)
    rows = [
        (setting, "all" if len(services) == len(models) else ", ".join(services), default, what)
        for (setting, default, what), services in sorted(services_by_row.items(), key=lambda row: -len(row[1]))
    ]
    return "".join(_lines([_HEADINGS, *rows]))


def _lines(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    """The rows with their columns aligned, except the last, whose texts are long."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:-1]
    for number, row in enumerate(rows):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield f"| {' | '.join([*cells, row[-1]])} |\n"
        if number == 0:
            yield f"| {' | '.join(['-' * width for width in widths])} | {'-' * len(row[-1])} |\n"


def _default(given: Setting) -> str:
    if given.is_required:
        return "required"
    if given.default is None:
        return "not set"
    return f"`{str(given.default).lower() if isinstance(given.default, bool) else given.default}`"


def _what(given: Setting) -> str:
    description = given.rule.description
    is_complete = all(choice in description for choice in given.choices)
    return _escaped(description if is_complete else f"{description}: {', '.join(given.choices)}")


def _escaped(text: str) -> str:
    """The text with Markdown's special characters escaped."""
    return re.sub(r"([\\|*<\[])", r"\\\1", text)
