"""`python -m benchmarks.throughput [--rows N] [--rounds N]`: Nacre and others at the same work, turn and turn about.

The work: N abalone rows, one CSV file → Kafka → split by Sex → a CSV file for each, exactly once. Each stage alone,
then all three at once, by processes that end when all is done. The output is compared with a filter over the input.

A figure is rows per second of the time that N rows take more than a few do, in the median of the rounds: what a process
needs to start and to end does not count. The table says the median of the rounds, the slowest and the fastest. It is
also written to benchmarks/results/throughput.json, with the seconds that each run took.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from ops.kafka.local import LocalKafka

STAGES = ("ingest", "split", "sink")
ALL = "all three"
ABALONE = Path(__file__).parents[1] / "data" / "abalone_full.csv"
_RESULTS = Path(__file__).parent / "results" / "throughput.json"
_PARTITIONS = 6
_FEW_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class Work:
    """An input, and what has to come out."""

    rows: int
    path: Path
    expected: Mapping[str, bytes]


def make_work(folder: Path, rows: int) -> Work:
    """So many abalone rows, again and again."""
    header, *lines = ABALONE.read_bytes().splitlines(keepends=True)
    repeated = (lines * (rows // len(lines) + 1))[:rows]
    path = folder / f"{rows}.csv"
    path.write_bytes(header + b"".join(repeated))
    by_sex: dict[str, list[bytes]] = {}
    for line in repeated:
        by_sex.setdefault(line[:1].decode(), [header]).append(line)
    return Work(rows, path, {f"{sex}.csv": b"".join(content) for sex, content in by_sex.items()})


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's one pass over some work."""

    bootstrap: str
    prefix: str
    work: Work
    output: Path


# From a stage and a run to a command line, and what it gets in its environment.
Command = Callable[[str, Run], tuple[list[str], dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody at the work.

    `topics` are those that have to be there, with their partitions; `files` is where the categories' files are. `share`
    of the rows is less for who is slow, and more for who is slow at first, or so fast that a start's noise would show.
    """

    name: str
    command: Command
    topics: Mapping[str, int] = field(default_factory=dict)
    files: str = ""
    share: float = 1.0
    is_checked: bool = True


def nacre(row_format: str = "csv", compression: str = "none") -> Command:
    """Nacre's services, as they are."""

    def command(stage: str, run: Run) -> tuple[list[str], dict[str, str]]:
        arguments = [str(run.work.path), "--once"] if stage == "ingest" else ["--exit-when-done"]
        settings = {
            "KAFKA_BOOTSTRAP_SERVERS": run.bootstrap,
            "TOPIC_PREFIX": run.prefix,
            "LOG_LEVEL": "warning",
            "SPLIT_BY": "Sex",
            "OUTPUT_DIR": str(run.output),
            "ROW_FORMAT": row_format,
            "KAFKA_COMPRESSION": compression,
        }
        return [sys.executable, "-m", f"services.{stage}", *arguments], settings

    return command


def peer(module: str, *arguments: str, python: str = sys.executable) -> Command:
    """A module of benchmarks.peers."""

    def command(stage: str, run: Run) -> tuple[list[str], dict[str, str]]:
        told = {
            "bootstrap": run.bootstrap,
            "prefix": run.prefix,
            "rows": run.work.rows,
            "input": run.work.path,
            "output": run.output,
        }
        options = [text for name, value in told.items() for text in (f"--{name}", str(value))]
        return [python, "-m", f"benchmarks.peers.{module}", stage, *options, *arguments], {}

    return command


def connect_and_streams(stage: str, run: Run) -> tuple[list[str], dict[str, str]]:
    """Kafka's own: Connect at both ends of a Streams application."""
    return peer("kafka_streams" if stage == "split" else "kafka_connect")(stage, run)


# The other libraries live in a virtual environment of their own: `make bench` makes it.
_PEERS = str(Path(__file__).parents[1] / ".venv-bench" / "bin" / "python")
_TOPICS = dict.fromkeys(("rows", "categorized", "progress"), _PARTITIONS)
CONTENDERS = (
    Contender("nacre", nacre(), files="Sex", share=4.0),
    Contender("nacre, lz4", nacre(compression="lz4"), files="Sex", share=4.0),
    Contender("nacre, zstd", nacre(compression="zstd"), files="Sex", share=4.0),
    Contender("confluent-kafka", peer("confluent_loops"), _TOPICS),
    Contender("confluent-kafka, zstd", peer("confluent_loops", "--compression", "zstd"), _TOPICS),
    Contender("nacre, json", nacre("json"), files="Sex", share=4.0),
    Contender("confluent-kafka, orjson", peer("confluent_loops", "--row-format", "json"), _TOPICS),
    Contender("quixstreams", peer("quix", python=_PEERS), _TOPICS, share=0.3),
    Contender("faststream", peer("fast_stream", python=_PEERS), _TOPICS, share=0.05),
    Contender("faust-streaming", peer("faust_app", python=_PEERS), _TOPICS, share=0.03),
    Contender(
        "Kafka Connect and Streams",
        connect_and_streams,
        # Connect's source cannot say which partition, and the rows of a file have an order.
        {"rows": 1, "categorized": _PARTITIONS},
        share=3.0,
        is_checked=False,
    ),
    Contender("bare aiokafka", peer("bare_aiokafka"), _TOPICS, is_checked=False),
)


def run_stage(contender: Contender, stage: str, run: Run) -> float:
    """Run one stage to its end; return the seconds it took."""
    command, settings = contender.command(stage, run)
    began = time.perf_counter()
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, check=False)
    took_s = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{contender.name}, {stage}: exit {done.returncode}\n{(done.stdout + done.stderr).decode()[-3000:]}")
    # What a peer says of itself.
    sys.stderr.write(done.stdout.decode())
    return took_s


def run_all(contender: Contender, run: Run) -> float:
    """Run the three stages at once; return the seconds it took."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(STAGES)) as threads:
        list(threads.map(lambda stage: run_stage(contender, stage, run), STAGES))
    return time.perf_counter() - began


def check(contender: Contender, run: Run) -> None:
    """The files are a filter over the input; each is compared and the first that differs ends all."""
    if contender.is_checked:
        for name, content in run.work.expected.items():
            path = run.output / contender.files / name
            if not path.exists() or path.read_bytes() != content:
                sys.exit(f"{contender.name}: {path} is not what it has to be")


def measure(contender: Contender, kafka: LocalKafka, folder: Path, work: Work, label: str) -> dict[str, float]:
    """Seconds of each stage alone, and of all three at once, each way with topics and files of its own."""
    seconds: dict[str, float] = {}
    for way in ("alone", "together"):
        run = Run(kafka.bootstrap, f"{label}-{way}.", work, folder / f"{label}-{way}")
        make_topics(kafka, {run.prefix + topic: partitions for topic, partitions in contender.topics.items()})
        if way == "alone":
            seconds |= {stage: run_stage(contender, stage, run) for stage in STAGES}
        else:
            seconds[ALL] = run_all(contender, run)
        check(contender, run)
    remove_topics(kafka, label)
    return seconds


def make_topics(kafka: LocalKafka, topics: Mapping[str, int]) -> None:
    """Topics for who makes none, with their partitions."""
    if topics:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        for done in admin.create_topics([NewTopic(name, count, 1) for name, count in topics.items()]).values():
            done.result()


def remove_topics(kafka: LocalKafka, label: str) -> None:
    """What is measured next is not to wait for this disk."""
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    names = [name for name in admin.list_topics(timeout=10).topics if name.startswith(label)]
    for done in admin.delete_topics(names).values():
        done.result()


def rates_of(seconds: Mapping[int, Sequence[float]]) -> list[float]:
    """Rows per second of each round, from the rounds' seconds by the number of rows: a few, and many."""
    few, many = sorted(seconds)
    least_s = statistics.median(seconds[few])
    return [(many - few) / (whole_s - least_s) for whole_s in seconds[many]]


def shown(results: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The table: rows/s, and Nacre's ratio to each."""
    columns = (*STAGES, ALL)
    lines = [
        "| rows/s, median (slowest to fastest) | " + " | ".join(columns) + " |",
        "| --- " * (len(columns) + 1) + "|",
    ]
    for name, rates in results.items():
        cells = [
            f"{statistics.median(rates[each]):,.0f} ({min(rates[each]):,.0f} to {max(rates[each]):,.0f})"
            for each in columns
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += ["", "| Nacre is faster by | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
    for name, rates in results.items():
        ours = results.get("nacre, json" if "json" in name else "nacre")
        if ours is not None and ours is not rates:
            ratios = [statistics.median(ours[each]) / statistics.median(rates[each]) for each in columns]
            lines.append(f"| {name} | " + " | ".join(f"{ratio:.2f} x" for ratio in ratios) + " |")
    return "\n".join(lines)


def main() -> int:
    """Measure every contender in every round."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", help="contenders, by name")
    asked = parser.parse_args()
    contenders = [each for each in CONTENDERS if not asked.only or each.name in asked.only]
    if min(each.share for each in contenders) * asked.rows < 2 * _FEW_ROWS:
        parser.error(
            f"--rows {asked.rows}: too few, some do a part of them and it has to be {2 * _FEW_ROWS:,} at least"
        )
    seconds: dict[str, dict[str, dict[int, list[float]]]] = {each.name: {} for each in contenders}
    with LocalKafka() as kafka, TemporaryDirectory() as root:
        folder = Path(root)
        few = make_work(folder, _FEW_ROWS)
        works = {each.share: make_work(folder, round(each.share * asked.rows)) for each in contenders}
        for turn in range(asked.rounds):
            for number, contender in enumerate(contenders):
                for work in (few, works[contender.share]):
                    measured = measure(contender, kafka, folder, work, f"{turn}-{number}-{work.rows}")
                    for what, took_s in measured.items():
                        seconds[contender.name].setdefault(what, {}).setdefault(work.rows, []).append(took_s)
                        sys.stderr.write(f"{contender.name}, {what}: {work.rows:,} rows in {took_s:.2f} s\n")
    results = {name: {what: rates_of(each) for what, each in stages.items()} for name, stages in seconds.items()}
    sys.stdout.write(shown(results) + "\n")
    _RESULTS.parent.mkdir(exist_ok=True)
    _RESULTS.write_text(json.dumps({"rows": asked.rows, "rates": results, "seconds": seconds}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
