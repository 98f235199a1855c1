"""A service that dies just before or just after any of its steps loses nothing and repeats nothing."""

import ast
import base64
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import cycle
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.chaos.crash_points import Crash, crashes_of
from tests.harness.chaos.receipts import is_delivered
from tests.harness.expectation import ABALONE, expected_files, path_by, rejections
from tests.harness.pipeline import ABALONE_FILE, PROJECT, SERVICES, Pipeline, Service, wait_until

# The occurrences at which to hit a point that a process reaches more than once, separated by commas.
_OCCURRENCES = [int(number) for number in os.environ.get("CRASH_OCCURRENCES", "1,3").split(",")]
_SETTINGS = {
    "SPLIT_BY": "*,Sex,Rings:int,Sex+Rings",
    "PARTITIONS": str(max(_OCCURRENCES)),
    "CHECKPOINT_INTERVAL_MS": "200",
    "SETTLE_S": "0.5",
}

ONLY_IN_FULL = pytest.mark.skipif(not extent.MINUTES, reason="only in `make chaos`")

RecordProperty = Callable[[str, object], None]
Rejected = tuple[str, int, int, str, bytes]


class Source:
    """A file that grows, and what has to become of it."""

    def __init__(self, path: Path, header: bytes) -> None:
        self.path = path
        self.header = header
        self.rows: list[bytes] = []
        path.write_bytes(header + b"\n")

    def append(self, rows: Sequence[bytes]) -> None:
        """Put rows at the end of the file."""
        self.rows += rows
        with self.path.open("ab") as file:
            file.write(b"".join(row + b"\n" for row in rows))

    def expected(self, schema_number: int) -> dict[str, bytes]:
        """The files of this source: a filter over its rows for each split."""
        whole = [row for row in self.rows if self._is_whole(row)]
        last = self.header.count(b",")
        by_text = [ABALONE["*"], ABALONE["Sex"], path_by("Sex+Rings", 0, last)]
        files = expected_files(b"\n".join([self.header, *whole, b""]), by_text)
        counted = [row for row in whole if _is_counted(row)]
        files |= expected_files(b"\n".join([self.header, *counted, b""]), [path_by("Rings", last)])
        suffix = f"~{schema_number}.csv" if schema_number > 1 else ".csv"
        return {path.removesuffix(".csv") + suffix: content for path, content in files.items()}

    def rejected(self) -> Iterator[Rejected]:
        """What has to be in rejected.csv of this source."""
        offset = len(self.header) + 1
        for line, row in enumerate(self.rows, start=2):
            if not self._is_whole(row):
                yield str(self.path), line, offset, "", row
            elif not _is_counted(row):
                yield str(self.path), line, offset, "Rings", row
            offset += len(row) + 1

    def _is_whole(self, row: bytes) -> bool:
        return row.count(b",") == self.header.count(b",")


def _is_counted(row: bytes) -> bool:
    return row.rpartition(b",")[2].isdigit()


class Feed:
    """Sources that grow whenever there is need of work: one of abalone rows, and one for each further schema."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        header, *rows = ABALONE_FILE.read_bytes().splitlines()
        self._rows = cycle(rows)
        self._fed = 0
        self.sources = [Source(folder / "abalone.csv", header)]
        self.size = 0
        # A point may occur once for each source or partition, so there are as many from the start as occurrences.
        while len(self.sources) < max(_OCCURRENCES):
            self.add_schema()

    def grow(self, sex: bytes = b"M") -> None:
        """Give every source some rows more, also such as are rejected."""
        self._fed += 1
        first, *others = self.sources
        rows = [next(self._rows) for _ in range(40)]
        first.append([*rows, b"F,too short", rows[0].rpartition(b",")[0] + b",many", sex + rows[0][1:]])
        for source in others:
            source.append([b"%s,%d,%d" % (b"MFI"[n % 3 :][:1], self._fed, self._fed % 5 + n) for n in range(6)])
            source.append([b"I", b"F,%d,few" % self._fed])
        # A schema's number does not change the size of its files.
        self.size = sum(len(content) for source in self.sources for content in source.expected(1).values())

    def add_category(self) -> None:
        """Rows of a category that was not there: its files have to be made."""
        self.grow(b"new-%d" % self._fed)

    def add_schema(self) -> None:
        """A file whose header was not there: it has to be registered."""
        number = len(self.sources)
        self.sources.append(Source(self.folder / f"other-{number}.csv", b"Sex,Number-%d,Rings" % number))
        self.grow()


class Mortal(Service):
    """A service that has to kill itself: nothing else may end it."""

    @property
    def failed(self) -> bool:
        """Whether it ended in any other way."""
        return self.exit_code not in (None, -signal.SIGKILL)


class Deaths:
    """One service that dies at one place after the other; each time it is started again there is work to do."""

    def __init__(self, pipeline: Pipeline, feed: Feed, name: str, crashes: Sequence[Crash]) -> None:
        self._pipeline = pipeline
        self._feed = feed
        self.name = name
        self._ahead = deque(crashes)
        self._crash_log = pipeline.folder / f"{name}.crashes"
        self._asked_to_stop = False
        self.hit: list[str] = []
        self.start()

    def __str__(self) -> str:
        """Where it stands."""
        ahead = f"next {self._ahead[0]}" if self._ahead else "done"
        return f"{self.name}: {len(self.hit)} hit, {ahead}"

    @property
    def done(self) -> bool:
        """Whether every place was hit, and the service runs undisturbed."""
        return not self._ahead

    @property
    def needs(self) -> str:
        """What the next place needs, beside work."""
        return self._ahead[0].point.needs

    def look(self) -> bool:
        """Return whether it has died; fail if that was in the wrong place. Call `start` after a death."""
        if self.done:
            return False
        crash = self._ahead[0]
        if crash.point.needs == "signal" and not self._asked_to_stop and self.service.events("partitions assigned"):
            self.service.send(signal.SIGTERM)
            self._asked_to_stop = True
        if self.service.exit_code is None:
            return False
        assert self.service.exit_code == -signal.SIGKILL, f"{self.name} at {crash}: exit {self.service.exit_code}"
        self.hit.append(str(crash))
        logged = self._crash_log.read_text().splitlines() if self._crash_log.exists() else []
        assert logged == self.hit, f"{self.name} died, but not at {crash}"
        self._ahead.popleft()
        return True

    def start(self) -> None:
        """Start it, with work to do and the next place to die at."""
        self._asked_to_stop = False
        if self.done:
            self.service = start(self._pipeline, self._feed, self.name)
            return
        crash = self._ahead[0]
        prepare = {"category": self._feed.add_category, "schema": self._feed.add_schema}
        prepare.get(crash.point.needs, self._feed.grow)()
        self.service = start_crashing(self._pipeline, self._feed, self.name, crash, self._crash_log)


def start(pipeline: Pipeline, feed: Feed, name: str) -> Service:
    """The service as it is."""
    return pipeline.start(name, *arguments_of(name, feed), **_SETTINGS)


def start_crashing(pipeline: Pipeline, feed: Feed, name: str, crash: Crash, crash_log: Path) -> Mortal:
    """The service under the launcher that ends it."""
    log_path = pipeline.folder / f"{len(pipeline.services):03}-{name}-{crash}.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.harness.chaos.crashing", f"services.{name}", *arguments_of(name, feed)],
            cwd=PROJECT,
            env={
                **os.environ,
                **_SETTINGS,
                "KAFKA_BOOTSTRAP_SERVERS": pipeline.bootstrap,
                "TOPIC_PREFIX": pipeline.prefix,
                "OUTPUT_DIR": str(pipeline.output),
                "CRASH_AT": str(crash),
                "CRASH_LOG": str(crash_log),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    service = Mortal(name, process, log_path)
    pipeline.services.append(service)
    return service


def arguments_of(name: str, feed: Feed) -> list[str]:
    return [str(feed.folder)] if name == "ingest" else []


def size_of_rows(pipeline: Pipeline) -> int:
    """The bytes of all files together, without that of the rejected rows."""
    rejected = pipeline.output / "rejected.csv"
    return pipeline.output_size() - (rejected.stat().st_size if rejected.exists() else 0)


def is_all_delivered(pipeline: Pipeline, feed: Feed) -> bool:
    """Whether every source has its receipt for all that it has."""
    return all(is_delivered(pipeline.output, source.path) for source in feed.sources)


def schema_numbers(pipeline: Pipeline) -> dict[bytes, int]:
    """The number of each header, each given once."""
    registered = [json.loads(record.value) for record in pipeline.observer.schemas()]
    numbers = {base64.b64decode(schema["header"]): int(schema["number"]) for schema in registered}
    assert sorted(schema["number"] for schema in registered) == list(range(1, 1 + len(numbers)))
    return numbers


def told_rejections(pipeline: Pipeline) -> Counter[Rejected]:
    """What rejected.csv says, but for the reasons."""
    path = pipeline.output / "rejected.csv"
    return Counter(
        (found["source"], int(found["line"]), int(found["offset"]), found["split"], found["row"].encode("latin-1"))
        for found in rejections(path.read_bytes())
    )


def check_in_the_end(pipeline: Pipeline, feed: Feed, services: Sequence[Service]) -> None:
    """Every file is a filter over the input, each rejected row is there once, and no row is missing."""
    pipeline.wait_until(lambda: len(schema_numbers(pipeline)) == len(feed.sources), "all schemas are registered")
    numbers = schema_numbers(pipeline)
    expected: dict[str, bytes] = {}
    for source in feed.sources:
        expected |= source.expected(numbers[source.header])
    rejected = Counter(each for source in feed.sources for each in source.rejected())

    def is_written() -> bool:
        paths = {pipeline.output / path: len(content) for path, content in expected.items()}
        return all(path.exists() and path.stat().st_size >= size for path, size in paths.items())

    pipeline.wait_until(is_written, "all is written")
    pipeline.wait_until(lambda: told_rejections(pipeline).total() >= rejected.total(), "all rejections are written")
    pipeline.wait_until(lambda: is_all_delivered(pipeline, feed), "all is delivered")
    for service in services:
        assert service.stop()[0] == 0
    assert told_rejections(pipeline) == rejected
    files = pipeline.output_files()
    pipeline.check_files(expected | {"rejected.csv": files["rejected.csv"]})
    rows = sum(len(source.rows) for source in feed.sources)
    for split in ("all", "Sex/", "Rings/", "Sex+Rings/"):
        written = sum(content.count(b"\n") - 1 for path, content in files.items() if path.startswith(split))
        refused = sum(count for (*_, by, _), count in rejected.items() if by in ("", split.removesuffix("/")))
        assert written + refused == rows


def check_ledgers(pipeline: Pipeline) -> None:
    """After a clean end the ledgers know every byte."""
    known: dict[str, int] = {}
    for path in pipeline.output.joinpath(".nacre").glob("*.ledger"):
        with closing(sqlite3.connect(path)) as ledger:
            known |= dict(ledger.execute("SELECT path, length FROM files"))
    assert known == {path: len(content) for path, content in pipeline.output_files().items()}


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    "dying",
    [SERVICES, *(pytest.param([name], marks=ONLY_IN_FULL) for name in SERVICES)],
    ids="+".join,
)
def test_services_that_die_at_every_point_leave_the_output_as_if_undisturbed(
    pipeline: Pipeline, tmp_path: Path, dying: Sequence[str], record_property: RecordProperty
) -> None:
    feed = Feed(tmp_path / "in")
    deaths = [
        Deaths(pipeline, feed, name, list(crashes_of(name, _OCCURRENCES, thorough=bool(extent.MINUTES))))
        for name in dying
    ]
    undisturbed = [start(pipeline, feed, name) for name in SERVICES if name not in dying]
    snapshots: list[dict[str, bytes]] = []

    def anyone_died() -> bool:
        died = [each for each in deaths if each.look()]
        for each in died:
            if each.name == "sink":
                snapshots.append(pipeline.output_files())
                is_torn = any(not content.endswith(b"\n") for content in snapshots[-1].values())
                assert is_torn or ":torn:" not in each.hit[-1]
            each.start()
        awaits_end = any(not each.done and each.needs == "end" for each in deaths)
        if size_of_rows(pipeline) >= feed.size and (not awaits_end or is_all_delivered(pipeline, feed)):
            # All is done, but a service still needs work to die at. A source that is always given more never ends.
            feed.grow()
        return bool(died)

    while not all(each.done for each in deaths):
        where = "; ".join(map(str, deaths))
        record_property("seconds between two deaths", wait_until(anyone_died, f"one of these dies: {where}", 60.0))
        assert not any(service.failed for service in pipeline.services)
    feed.grow()
    check_in_the_end(pipeline, feed, [*(each.service for each in deaths), *undisturbed])
    check_ledgers(pipeline)
    final = pipeline.output_files()
    for snapshot in snapshots:
        for path, content in snapshot.items():
            same = final[path].startswith(content)
            assert same, f"{path} held bytes that are not there in the end"


def _is_a_rename(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Attribute):
        return False
    module = ast.unparse(call.func.value)
    # A text's own `replace` takes two arguments, a path's one.
    is_replace = call.func.attr == "replace" and (module == "os" or len(call.args) == 1)
    is_move = (module, call.func.attr) == ("shutil", "move")
    return is_replace or is_move or call.func.attr in ("rename", "renames", "link")


def test_no_service_renames_a_file_but_where_one_is_finished_so_that_no_point_is_missing() -> None:
    modules = [path for folder in ("services", "common") for path in PROJECT.glob(f"{folder}/*/**/*.py")]
    assert len({path.parent for path in modules}) > len(SERVICES), "nothing was looked at"
    for path in modules:
        if path.name in {"output_root.py", "renaming.py"}:
            # The two places, at which tests/integration/test_rolling.py and test_after_delivery.py let a service die.
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (
                isinstance(node, ast.Call) and _is_a_rename(node) and ast.unparse(node.func) != "output.rename"
            ), f"{path}:{node.lineno}: set `reached`"
