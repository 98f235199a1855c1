"""What `nacre verify` has found: what differs, what is not delivered yet, and what it could not see."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field, to_builtins

from common.escaping import printable

WELL, DIFFERS, NOT_YET = 0, 1, 75
_MOST_LISTED = 100
_MOST_SHOWN = 80


class ReportedFinding(Struct, frozen=True):
    """One thing that was found: a word for programs, one line for people, and what it is about, as far as it has that.

    `path` is a file below OUTPUT_DIR and `line` a line of it; `found` is what stands there, and `expected` what the
    source has in its `source_line`.
    """

    what: str
    text: str
    path: str = ""
    line: int = 0
    source: str = ""
    source_line: int = 0
    found: str = ""
    expected: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """As JSON, without the fields that are empty."""
        return {name: value for name, value in to_builtins(self).items() if value}


class Findings(Struct):
    """Findings of one kind: how many, and the first of them."""

    count: int = 0
    first: list[ReportedFinding] = field(default_factory=list)

    def add(self, finding: ReportedFinding) -> None:
        """Add one."""
        self.count += 1
        if len(self.first) < _MOST_LISTED:
            self.first.append(finding)

    @property
    def fields(self) -> dict[str, Any]:
        """As JSON has them."""
        return {"count": self.count, "first": [finding.fields for finding in self.first]}


class Report(Struct):
    """All that was found. `counts` has what was looked at, by name."""

    differs: Findings = field(default_factory=Findings)
    not_yet: Findings = field(default_factory=Findings)
    unseen: Findings = field(default_factory=Findings)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, name: str, number: int = 1) -> None:
        """Add to a count."""
        self.counts[name] = self.counts.get(name, 0) + number

    @property
    def exit_code(self) -> int:
        """The exit code: whatever differs outweighs what is not delivered yet."""
        if self.differs.count:
            return DIFFERS
        return NOT_YET if self.not_yet.count else WELL

    @property
    def fields(self) -> Mapping[str, Any]:
        """As JSON."""
        return {
            "result": {WELL: "well", DIFFERS: "differs", NOT_YET: "not delivered yet"}[self.exit_code],
            **self.counts,
            "differs": self.differs.fields,
            "not_yet": self.not_yet.fields,
            "unseen": self.unseen.fields,
        }

    def lines(self) -> list[str]:
        """For people: a line for each finding, the verdict last."""
        told = []
        for mark, findings in (("differs", self.differs), ("not yet", self.not_yet), ("unseen", self.unseen)):
            told += [f"{mark}: {finding.text}" for finding in findings.first]
            if (left := findings.count - len(findings.first)) > 0:
                told.append(f"{mark}: and {left:,} more")
        looked_at = ", ".join(f"{number:,} {name.replace('_', ' ')}" for name, number in self.counts.items() if number)
        verdict = {
            WELL: "all is well",
            DIFFERS: f"{_things(self.differs.count)} differs" if self.differs.count == 1 else "",
            NOT_YET: "nothing differs, and not all is delivered yet",
        }[self.exit_code]
        return [*told, f"{verdict or f'{_things(self.differs.count)} differ'}: {looked_at or 'nothing is there'}"]


def _things(count: int) -> str:
    return f"{count:,} thing{'' if count == 1 else 's'}"


def shown(text: bytes) -> str:
    """Bytes of a row for a line of text, shortened."""
    found = text[: 4 * _MOST_SHOWN].decode(errors="backslashreplace")
    if len(found) > _MOST_SHOWN or len(text) > 4 * _MOST_SHOWN:
        found = found[: _MOST_SHOWN - 1] + "…"
    return printable(found)
