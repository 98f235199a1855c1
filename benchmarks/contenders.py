"""The contenders of `benchmarks.throughput`: Nacre in several configurations, and the peers."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers import compiled, jars

STAGES = ("ingest", "split", "sink")
ALL = "all three"
# What a round measures, and each way by topics of its own: the stages one after the other, or at once.
WAYS: Mapping[str, tuple[str, ...]] = {"alone": STAGES, "together": (ALL,)}
# The ways of each round.
Schedule = Sequence[Sequence[str]]
# Three rounds of all; three of all three stages at once, and one of each alone.
_THRICE: Schedule = (tuple(WAYS),) * 3
_TOGETHER_THRICE: Schedule = (tuple(WAYS), ("together",), ("together",))
ABALONE = Path(__file__).parents[1] / "data" / "abalone_full.csv"
_PARTITIONS = 6


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
    """One participant: Nacre in some configuration, or a peer.

    `topics` have to exist beforehand, with these numbers of partitions; `files` is where it puts the category files. It
    gets a `share` of the rows: fewer if it is slow, more if it is slow at first, or so fast that the noise of a start
    would show. The time for all its rows is compared with the time for a `part` of them: a larger part if it is slow at
    first, and 0, the fewest rows, if it is so slow that its start costs more than its rows. `rounds` has the WAYS of
    each round that it takes part in. `starts`: its start is measured by itself, in the first round, unless it is the
    same as another's, or takes long.
    """

    name: str
    command: Command
    topics: Mapping[str, int] = field(default_factory=dict)
    files: str = ""
    share: float = 1.0
    part: float = 1 / 6
    is_checked: bool = True
    rounds: Schedule = (tuple(WAYS),)
    starts: bool = True
    language: compiled.Language | None = None


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


def by_hand(language: compiled.Language, **settings: str) -> Command:
    """A peer in a compiled language, which is built by then."""

    def command(stage: str, run: Run) -> tuple[list[str], dict[str, str]]:
        where = f"{run.output}:{run.work.path}" if stage == "sink" else str(run.work.path)
        binary = str(compiled.path_of(language))
        return [binary, stage, run.bootstrap, run.prefix, where, str(run.work.rows)], settings

    return command


def connect_and_streams(stage: str, run: Run) -> tuple[list[str], dict[str, str]]:
    """Kafka's own: Connect at both ends of a Streams application, which is compiled by then."""
    if stage != "split":
        return peer("kafka_connect")(stage, run)
    # The file's header is one more row to it, as Connect's source knows none.
    told = (run.bootstrap, run.prefix, str(run.work.rows + 1), str(run.output.parent / "streams"))
    return jars.command("Split", *told, classes=compiled.path_of(compiled.JAVA)), {}


# The other libraries live in a virtual environment of their own: `make bench` makes it.
_PEERS = str(Path(__file__).parents[1] / ".venv-bench" / "bin" / "python")
_TOPICS = dict.fromkeys(("rows", "categorized", "progress"), _PARTITIONS)
CONTENDERS = (
    Contender("nacre", nacre(), files="Sex", share=4.2, rounds=_THRICE),
    Contender("go (franz-go)", by_hand(compiled.GO), _TOPICS, share=4.2, rounds=_THRICE, language=compiled.GO),
    Contender(
        "go, commits of 20 ms",
        by_hand(compiled.GO, PEER_COMMIT_MS="20"),
        _TOPICS,
        share=4.2,
        rounds=_TOGETHER_THRICE,
        starts=False,
        language=compiled.GO,
    ),
    Contender(
        "rust (librdkafka)",
        by_hand(compiled.RUST),
        _TOPICS,
        share=4.2,
        rounds=_TOGETHER_THRICE,
        language=compiled.RUST,
    ),
    Contender("nacre, zstd", nacre(compression="zstd"), files="Sex", share=4.2, starts=False),
    Contender("confluent-kafka", peer("confluent_loops"), _TOPICS, share=0.72, rounds=_TOGETHER_THRICE),
    Contender(
        "confluent-kafka, zstd",
        peer("confluent_loops", "--compression", "zstd"),
        _TOPICS,
        share=0.6,
        starts=False,
    ),
    Contender("nacre, json", nacre("json"), files="Sex", share=1.2, rounds=_TOGETHER_THRICE, starts=False),
    Contender(
        "confluent-kafka, orjson",
        peer("confluent_loops", "--row-format", "json"),
        _TOPICS,
        share=0.36,
        rounds=_TOGETHER_THRICE,
        starts=False,
    ),
    Contender("quixstreams", peer("quix", python=_PEERS), _TOPICS, share=0.1, part=0),
    Contender("faststream", peer("fast_stream", python=_PEERS), _TOPICS, share=0.02, part=0),
    Contender("faust-streaming", peer("faust_app", python=_PEERS), _TOPICS, share=0.006, part=0),
    Contender(
        "Kafka Connect and Streams",
        connect_and_streams,
        # Connect's source cannot say which partition, and the rows of a file have an order.
        {"rows": 1, "categorized": _PARTITIONS},
        share=3.0,
        # Each start of a JVM takes as long as a million rows.
        rounds=(("together",),),
        # It is slow at first.
        part=1 / 3,
        is_checked=False,
        starts=False,
        language=compiled.JAVA,
    ),
    Contender("bare aiokafka", peer("bare_aiokafka"), _TOPICS, share=0.6, part=0, is_checked=False),
)
