"""What a command has found, line by line, and the paths of files as it shows them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the proof, and whether it holds."""

    holds: bool
    text: str


def proof(findings: Sequence[Finding]) -> Table:
    """The lines of the proof: red where one does not hold."""
    lines = Table.grid(padding=(0, 1))
    for finding in findings:
        style = "" if finding.holds else "bold red"
        lines.add_row(Text("✓", "bold green") if finding.holds else Text("✗", style), Text(finding.text, style))
    return lines


def shown_path(path: Path) -> str:
    """The path relative to the working directory, where that is below it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
