"""`python -m benchmarks.throughput [--rows N] [--only NAME...]`: Nacre and others at the same work.

The work: N abalone rows, one CSV file → Kafka → split by Sex → a CSV file for each, exactly once. Each stage alone,
then all three at once, by processes that end when all is done. The output is compared with a filter over the input.

They take turns. Each does a part of the rows and all of them, and its rate is the rows that all are more by the time
that they take longer (`benchmarks/rates.py`): what a process needs to start and to end does not count, also where
stages start at once and the first is at work while another waits. How many rows of N a contender does, and which part,
is in `benchmarks/contenders.py`, and what is measured in each round. The table says the median of the rounds, the
slowest and the fastest. Others say processor time, the broker's beside their own, memory, and what a start takes. All
of it is also written to benchmarks/results/throughput.json, with what each run took. A name is a contender's, or how it
begins.
"""

import argparse
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from benchmarks.contenders import ALL, CONTENDERS, STAGES, WAYS, Contender, Run, Work, make_work
from benchmarks.kept import keep
from benchmarks.peers import compiled
from benchmarks.rates import Rounds, cost_of, is_lost_in_noise, rates_of
from benchmarks.spending import Broker, Spent, run_to_end
from benchmarks.tables import table
from ops.kafka.local import LocalKafka

_FEW_ROWS = 1_000
_LOST = "lost in the noise"


def run_stage(contender: Contender, stage: str, run: Run) -> Spent:
    """Run one stage to its end."""
    return run_to_end(*contender.command(stage, run))


def run_all(contender: Contender, run: Run) -> Spent:
    """Run the three stages at once."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(STAGES)) as threads:
        each = list(threads.map(lambda stage: run_stage(contender, stage, run), STAGES))
    took_s = time.perf_counter() - began
    return Spent(took_s, sum(spent.cpu_s for spent in each), 0.0, sum(spent.mib for spent in each))


def check(contender: Contender, run: Run) -> None:
    """The files are a filter over the input; each is compared and the first that differs ends all."""
    if contender.is_checked:
        for name, content in run.work.expected.items():
            path = run.output / contender.files / name
            if not path.exists() or path.read_bytes() != content:
                sys.exit(f"{contender.name}: {path} is not what it has to be")


def measure(
    contender: Contender, kafka: LocalKafka, folder: Path, work: Work, label: str, ways: Sequence[str]
) -> dict[str, Spent]:
    """What each stage alone takes, or all three at once, each way with topics and files of its own."""
    broker, found = Broker(kafka), dict[str, Spent]()
    for name in ways:
        run = Run(kafka.bootstrap, f"{label}-{name}.", work, folder / f"{label}-{name}")
        # Otherwise what was written before would be written back at the cost of this run.
        os.sync()
        make_topics(kafka, {run.prefix + topic: partitions for topic, partitions in contender.topics.items()})
        for stage in WAYS[name]:
            before_s = broker.cpu_s()
            spent = run_all(contender, run) if stage == ALL else run_stage(contender, stage, run)
            found[stage] = spent._replace(broker_s=broker.cpu_s() - before_s)
        check(contender, run)
        shutil.rmtree(run.output, ignore_errors=True)
    remove_topics(kafka, label)
    return found


def sizes_of(contender: Contender, rows: int) -> tuple[int, int]:
    """How many rows a part is, and how many all are, of so many that were asked for."""
    whole = round(contender.share * rows)
    return max(_FEW_ROWS, round(contender.part * whole)), whole


def make_topics(kafka: LocalKafka, topics: Mapping[str, int]) -> None:
    """Create topics, with their partitions, for a contender that creates none."""
    if topics:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for done in admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()]).values():
            done.result()


def remove_topics(kafka: LocalKafka, label: str) -> None:
    """Remove the topics of a measurement, so that the next one does not wait for the disk."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(label)]
    for done in admin.delete_topics(names).values():
        done.result()


# What a contender took, by stage.
Found = Mapping[str, Rounds]


def staged(title: str, results: Mapping[str, Found], names: Iterable[str], cell: Callable[[str, str], str]) -> str:
    """A table with a line for each name and a column for each stage: `-` where it is not measured."""
    columns = (*STAGES, ALL)
    lines = [(name, *(cell(name, each) if each in results[name] else "-" for each in columns)) for name in names]
    return table(title, columns, lines)


def shown(results: Mapping[str, Found]) -> str:
    """The tables: Nacre's ratio to each, rows/s, processor time, memory and starts."""
    rates = {name: {stage: rates_of(each) for stage, each in found.items()} for name, found in results.items()}

    def ratio(name: str, stage: str) -> str:
        ours = "nacre, json" if "json" in name else "nacre"
        if any(is_lost_in_noise(results[each][stage]) for each in (ours, name)):
            return _LOST
        return f"{statistics.median(rates[ours][stage]) / statistics.median(rates[name][stage]):.2f} x"

    def rate(name: str, stage: str) -> str:
        each = rates[name][stage]
        if is_lost_in_noise(results[name][stage]):
            return _LOST
        spread = f" ({min(each):,.0f} to {max(each):,.0f})" if len(each) > 1 else ""
        return f"{statistics.median(each):,.0f}{spread}"

    def cost(name: str, stage: str) -> str:
        own_s, broker_s = cost_of(results[name][stage])
        return _LOST if min(own_s, broker_s) < 0 else f"{own_s:.2f} + {broker_s:.2f}"

    def memory(name: str, stage: str) -> str:
        found = results[name][stage]
        return f"{max(spent.mib for spent in found[max(found)]):.0f}"

    def start(name: str, stage: str) -> str:
        return f"{statistics.median(spent.took_s for spent in results[name][stage][_FEW_ROWS]):.2f}"

    others = [
        name
        for name in results
        if name not in {"nacre", "nacre, json"} and ("nacre, json" if "json" in name else "nacre") in results
    ]
    started = [name for name, found in results.items() if _FEW_ROWS in found[ALL]]
    return "\n".join(
        (
            staged("Nacre is faster by", results, others, ratio),
            staged("rows/s, median (slowest to fastest)", results, results, rate),
            staged("a core's seconds per million rows: its own + the broker's", results, results, cost),
            staged("MiB of its own, at most (all three: their sum)", results, results, memory),
            staged(f"start to end of {_FEW_ROWS:,} rows, s", results, started, start),
        )
    )


def main() -> int:
    """Measure every contender in every round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="*", help="contenders, by name or by how it begins")
    asked = parser.parse_args()
    contenders = [each for each in CONTENDERS if _is_asked_for(each, asked.only)]
    unknown = [name for name in asked.only or () if not any(_is_asked_for(each, [name]) for each in CONTENDERS)]
    if unknown or not contenders:
        parser.error(f"--only {' '.join(unknown)}: there are {', '.join(each.name for each in CONTENDERS)}")
    sizes = {each.name: sizes_of(each, asked.rows) for each in contenders}
    if any(whole < 2 * part for part, whole in sizes.values()):
        parser.error(f"--rows {asked.rows}: too few, because some do only a part of them")
    built = {each: compiled.build(each) for each in {each.language for each in contenders} if each is not None}
    contenders = [each for each in contenders if each.language is None or built[each.language]]
    if not contenders:
        sys.exit("none of them can be built here")
    results: dict[str, dict[str, dict[int, list[Spent]]]] = {each.name: {} for each in contenders}
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        folder = Path(root)
        works = {
            rows: make_work(folder, rows) for rows in {_FEW_ROWS, *(rows for each in sizes.values() for rows in each)}
        }
        # A broker's first million rows cost more than all later ones.
        measure(contenders[0], kafka, folder, works[sizes[contenders[0].name][0]], "warm", tuple(WAYS))
        for turn in range(max(len(each.rounds) for each in contenders)):
            # Every second round goes the other way, so that a contender does not always follow the same one.
            for number, contender in enumerate(contenders[:: -1 if turn % 2 else 1]):
                if turn >= len(contender.rounds):
                    continue
                starts = {_FEW_ROWS} if contender.starts and not turn else set()
                for rows in sorted(starts | set(sizes[contender.name])):
                    label, ways = f"{turn}-{number}-{rows}", contender.rounds[turn]
                    measured = measure(contender, kafka, folder, works[rows], label, ways)
                    for what, spent in measured.items():
                        results[contender.name].setdefault(what, {}).setdefault(rows, []).append(spent)
                        sys.stderr.write(f"{contender.name}, {what}: {rows:,} rows in {spent.took_s:.2f} s\n")
    sys.stdout.write(shown(results))
    if asked.only:
        # The plots show all contenders, so the results of a few are not written.
        return 0
    rates = {
        name: {what: [] if is_lost_in_noise(each) else rates_of(each) for what, each in found.items()}
        for name, found in results.items()
    }
    keep("throughput", {"rows": asked.rows, "rates": rates, "spent": results})
    return 0


def _is_asked_for(contender: Contender, names: Sequence[str] | None) -> bool:
    """By its name; a name that is no contender's asks for all that begin with it."""
    exact = {each.name for each in CONTENDERS}
    return not names or any(
        contender.name == name or (name not in exact and contender.name.startswith(name)) for name in names
    )


if __name__ == "__main__":
    sys.exit(main())
