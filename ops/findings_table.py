"""Findings as a table on the terminal."""

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from ops.findings import Finding


def findings_table(findings: Sequence[Finding]) -> Table:
    """A line for each finding, red if it does not hold."""
    lines = Table.grid(padding=(0, 1))
    for finding in findings:
        style = "" if finding.holds else "bold red"
        lines.add_row(Text("✓", "bold green") if finding.holds else Text("✗", style), Text(finding.text, style))
    return lines
