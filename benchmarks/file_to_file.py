"""`python -m benchmarks.file_to_file [--rows N] [--rounds N]`: what Kafka costs, beside tools that need none.

The work of throughput.py, from the file to the category files in one process: by those of these tools that are
installed. They prove nothing, keep nothing and go on from nowhere after a kill. Nacre is its three services at once,
starts and ends included, as with the tools. Medians of the rounds; each output is compared.
"""

import argparse
import shutil
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import CONTENDERS, Run, Work, make_work
from benchmarks.spending import Broker, Spent, run_to_end
from benchmarks.tables import table
from benchmarks.throughput import check, remove_topics, run_all
from ops.kafka.local import LocalKafka

_BENCH_PYTHON = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"
_MAWK = 'NR == 1 {h = $0; next} {f = $1 ".csv"; if (!(f in s)) {s[f] = 1; print h > f}; print > f}'
_DUCKDB = (
    "import duckdb, sys; duckdb.sql(\"COPY (FROM read_csv('\" + sys.argv[1] + \"', all_varchar=true)) TO '.' "
    '(FORMAT csv, PARTITION_BY (Sex), WRITE_PARTITION_COLUMNS true, OVERWRITE_OR_IGNORE true)")'
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A command that writes into the working folder, and where the files of a category are then."""

    name: str
    program: str
    arguments: Callable[[Path], Sequence[str]]
    files: str
    is_ordered: bool = True


_TOOLS = (
    Tool("mawk", "mawk", lambda source: ["-F,", _MAWK, str(source)], "{}.csv"),
    Tool("xan partition", "xan", lambda source: ["partition", "-O", ".", "Sex", str(source)], "{}.csv"),
    Tool("qsv partition", "qsv", lambda source: ["partition", "Sex", ".", str(source)], "{}.csv"),
    Tool("Miller", "mlr", lambda source: ["--csv", "split", "-g", "Sex", str(source)], "split_{}.csv"),
    Tool("DuckDB", str(_BENCH_PYTHON), lambda source: ["-c", _DUCKDB, str(source)], "Sex={}/*.csv", is_ordered=False),
)


def run_tool(tool: Tool, work: Work, folder: Path) -> Spent:
    """Run a tool in a folder of its own, and compare what is there then."""
    folder.mkdir()
    spent = run_to_end([tool.program, *tool.arguments(work.path)], {}, folder)
    for name, content in work.expected.items():
        found = [path.read_bytes() for path in sorted(folder.glob(tool.files.format(name.removesuffix(".csv"))))]
        if _lines(found, is_ordered=tool.is_ordered) != _lines([content], is_ordered=tool.is_ordered):
            sys.exit(f"{tool.name}: {name} is not what it has to be")
    shutil.rmtree(folder)
    return spent


def _lines(contents: Sequence[bytes], *, is_ordered: bool) -> list[bytes]:
    """The rows of these files, each of which begins with a header."""
    lines = [line for content in contents for line in content.splitlines()[1:]]
    return lines if is_ordered else sorted(lines)


def run_nacre(kafka: LocalKafka, work: Work, folder: Path, label: str) -> Spent:
    """Run the three services at once."""
    [nacre] = [each for each in CONTENDERS if each.name == "nacre"]
    broker, run = Broker(kafka), Run(kafka.bootstrap, f"{label}.", work, folder)
    before_s = broker.cpu_s()
    spent = run_all(nacre, run)
    # What the broker does later, above all to remove topics, is no part of the run.
    spent = spent._replace(broker_s=broker.cpu_s() - before_s)
    check(nacre, run)
    shutil.rmtree(folder)
    remove_topics(kafka, label)
    return spent


def shown(rows: int, found: Mapping[str, Sequence[Spent]]) -> str:
    """A line for each, the fastest first."""
    lines: list[tuple[str, ...]] = []
    for name, each in sorted(found.items(), key=lambda item: statistics.median(spent.took_s for spent in item[1])):
        took_s, cpu_s, mib = (
            statistics.median(of)
            for of in zip(*((spent.took_s, spent.cpu_s + spent.broker_s, spent.mib) for spent in each), strict=True)
        )
        lines.append((name, f"{rows / took_s:,.0f}", f"{cpu_s * 1e6 / rows:.2f}", f"{mib:.0f}"))
    return table("file to files", ("rows/s", "a core's seconds per million rows", "MiB"), lines)


def main() -> int:
    """Measure all that are here, in turns."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=3_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    tools = [tool for tool in _TOOLS if shutil.which(tool.program)]
    if absent := [tool.name for tool in _TOOLS if tool not in tools]:
        sys.stderr.write(f"not installed here: {', '.join(absent)}\n")
    found: dict[str, list[Spent]] = {}
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        folder = Path(root)
        work = make_work(folder, asked.rows)
        # A broker's first million rows cost more than all later ones.
        run_nacre(kafka, work, folder / "warm", "warm")
        for turn in range(asked.rounds):
            spent = run_nacre(kafka, work, folder / "nacre", f"turn-{turn}")
            found.setdefault("Nacre, with its broker", []).append(spent)
            for tool in tools:
                found.setdefault(tool.name, []).append(run_tool(tool, work, folder / "tool"))
    sys.stdout.write(shown(asked.rows, found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
