"""`python -m benchmarks.broker_requests [--rows N] [--only NAME...]`: what a broker is asked, and what it costs.

N abalone rows, all three stages at once, as in `benchmarks.throughput`, less what the same did with few rows. The
broker logs each request that it has answered: its kind, the time until the answer, and the time in which the broker
worked on it, which is less where a fetch waits for records. Also written to benchmarks/results/requests.json.
"""

import argparse
import json
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.contenders import CONTENDERS, Contender, Run, make_work
from benchmarks.kept import keep
from benchmarks.peers import compiled
from benchmarks.tables import table
from benchmarks.throughput import check, make_topics, remove_topics, run_all
from ops.kafka.local import LocalKafka

_LOGGED = "-Dorg.slf4j.simpleLogger.log.kafka.request.logger=debug"
_ANSWERED = "Completed request:"
_FEW_ROWS = 1_000
_WARM_ROWS = 500_000
_NAMES = ("nacre", "go (franz-go)", "go, commits of 20 ms", "rust (librdkafka)")
# What a broker asks itself: as controller, and as a broker that is alive.
_OF_BROKERS = {"BROKER_HEARTBEAT", "FETCH_SNAPSHOT", "ALLOCATE_PRODUCER_IDS", "API_VERSIONS"}


@dataclass(frozen=True, slots=True)
class Requests:
    """How many requests of one kind, and a broker's milliseconds: until their answers, and of its own work."""

    contender: str
    kind: str
    count: int
    until_answered_ms: float
    worked_ms: float


def answered(log: str) -> Iterator[tuple[str, float, float]]:
    """The kind, the milliseconds until the answer and the broker's own, of each request of a client, by its log."""
    for line in log.splitlines():
        _, found, text = line.partition(_ANSWERED)
        if found:
            told = json.loads(text)
            kind = told["requestHeader"]["requestApiKeyName"]
            if told["listener"] != "CONTROLLER" and kind not in _OF_BROKERS:
                yield kind, told["totalTimeMs"], told["localTimeMs"]


def asked(contender: Contender, kafka: LocalKafka, folder: Path, rows: int) -> dict[str, Counter[str]]:
    """Count what a broker was asked while a contender did this many rows, by kind: the sums of `Requests`."""
    log = kafka.data_dir / "broker.log"
    began = log.stat().st_size
    prefix = f"{CONTENDERS.index(contender)}-{rows}"
    run = Run(kafka.bootstrap, f"{prefix}.", make_work(folder, rows), folder / prefix)
    make_topics(kafka, {run.prefix + topic: partitions for topic, partitions in contender.topics.items()})
    run_all(contender, run)
    check(contender, run)
    shutil.rmtree(run.output, ignore_errors=True)
    remove_topics(kafka, prefix)
    found: dict[str, Counter[str]] = {}
    with log.open("rb") as file:
        file.seek(began)
        for kind, until_answered_ms, worked_ms in answered(file.read().decode(errors="replace")):
            sums = {"count": 1, "until_answered_ms": until_answered_ms, "worked_ms": worked_ms}
            found.setdefault(kind, Counter()).update(sums)
    return found


def less(whole: dict[str, Counter[str]], few: dict[str, Counter[str]], name: str) -> list[Requests]:
    """What all rows needed beyond what a start does, by kind; without kinds that only starts and ends need."""
    found = [
        (kind, {of: sums[of] - few.get(kind, Counter[str]())[of] for of in ("count", "until_answered_ms", "worked_ms")})
        for kind, sums in whole.items()
    ]
    return [Requests(name, kind, **sums) for kind, sums in found if sums["count"] > 0]


def main() -> int:
    """Count for each contender, and print the kinds that the broker works on most."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=4_200_000)
    parser.add_argument("--only", nargs="*", default=_NAMES, help="contenders by name")
    asked_for = parser.parse_args()
    contenders = [each for each in CONTENDERS if each.name in asked_for.only]
    built = {each: compiled.build(each) for each in {each.language for each in contenders} if each is not None}
    contenders = [each for each in contenders if each.language is None or built[each.language]]
    found: list[Requests] = []
    with LocalKafka(java_options=[_LOGGED]) as kafka, TemporaryDirectory() as root:
        # A broker's first rows cost more than all later ones.
        asked(contenders[0], kafka, Path(root), _WARM_ROWS)
        for contender in contenders:
            few, whole = (asked(contender, kafka, Path(root), rows) for rows in (_FEW_ROWS, asked_for.rows))
            found += less(whole, few, contender.name)
    sys.stdout.write(shown(found, asked_for.rows))
    keep("requests", {"rows": asked_for.rows, "requests": [asdict(each) for each in found]})
    return 0


def shown(found: Sequence[Requests], rows: int) -> str:
    """A table of a million rows: requests, and the broker's own milliseconds for them."""
    names = list(dict.fromkeys(each.contender for each in found))
    by_key = {(each.kind, each.contender): each for each in found}
    kinds = sorted({each.kind for each in found}, key=lambda kind: -sum(e.worked_ms for e in found if e.kind == kind))

    def cell(kind: str, name: str) -> str:
        each = by_key.get((kind, name))
        return f"{each.count * 1e6 / rows:,.0f} ({each.worked_ms * 1e6 / rows:,.0f})" if each else "-"

    lines = ((kind, *(cell(kind, name) for name in names)) for kind in kinds)
    return table("for a million rows: requests (ms of work)", names, lines)


if __name__ == "__main__":
    sys.exit(main())
