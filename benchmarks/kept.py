"""What the benchmarks keep in benchmarks/results: what the plots are drawn from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "results"


def keep(name: str, found: object) -> None:
    """Write what a benchmark found in place of what it found before."""
    _FOLDER.mkdir(exist_ok=True)
    (_FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")


def kept(name: str) -> Any | None:
    """What was written under this name last, or None."""
    path = _FOLDER / f"{name}.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def merged(
    before: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]], *names: str
) -> list[Mapping[str, Any]]:
    """What was found, and of what was found before the lines that differ from all of it in what is named."""

    def what(line: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(line.get(name) for name in names)

    again = {what(line) for line in found}
    return [*(line for line in before if what(line) not in again), *found]
