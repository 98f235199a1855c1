"""What an older version left behind, in mid-file: made once by that version, and gone on with by every later one.

`python -m tests.harness.formats NAME` makes `tests/fixtures/formats/NAME.tar.xz` with the version at hand: the data
folder of a broker, the input as far as it was written, the output folders, and the code of that version. There are rows
that nothing has read, rows that split has not, and rows that sink has not: each service was killed in between.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType

from common.protocol.progress import Progress, decode_progress
from ops.kafka.local import LocalKafka
from tests.harness.observer import Observer
from tests.harness.pipeline import PROJECT, SERVICES, wait_until

FIXTURES = PROJECT / "tests" / "fixtures" / "formats"
SPLIT_BY = "*,Sex,Number:int"
# Sources are called by their absolute paths: in whichever folder a service is started, its input has this one.
INPUT = "/proc/self/cwd/in"
_CODE = ("common", "services", "ops")
_ROWS_A_PART = 300
_BAD_EVERY = 50
_FOR_EVER = str(2**31 - 1)
# A fixture is older than anything that a broker keeps by default.
_BROKER = MappingProxyType(
    {
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "share.coordinator.state.topic.num.partitions": "1",
        "group.initial.rebalance.delay.ms": "0",
        "offsets.retention.minutes": _FOR_EVER,
        "transactional.id.expiration.ms": _FOR_EVER,
        # Files of zeros as long as their index may become compress well, and take their time.
        "log.index.size.max.bytes": "4096",
    }
)


@dataclass(frozen=True, slots=True)
class Line:
    """A record of a source with its line ending, and the paths of its category files; rejected where there are none."""

    content: bytes
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Variety:
    """One pipeline of a fixture: what its prefix and output folder are called, and its settings."""

    name: str
    settings: Mapping[str, str]


VARIETIES = (
    Variety("csv", {}),
    Variety("json", {"ROW_FORMAT": "json", "KAFKA_COMPRESSION": "zstd"}),
    Variety("rolled", {"ROLL_ROWS": "100", "PATH_TEMPLATE": "{split}/{category}/{part}.csv"}),
)
# So many bytes of each source are not written yet, among them the rest of a row.
_HELD_BACK_BYTES = 21


def _plain(number: int) -> Line:
    sex, rings = "MFI"[number % 3], number % 7
    return Line(f"{sex},{rings},{number}\n".encode(), ("all.csv", f"Sex/{sex}.csv", f"Number/{rings}.csv"))


def _quoted(number: int) -> Line:
    if number % _BAD_EVERY == _BAD_EVERY - 1:
        return Line(f"one,field,too,many {number}\r\n".encode(), ())
    sex, rings = "MFI"[number % 3], number % 7
    paths = ("all~2.csv", f"Sex/{sex}~2.csv", f"Number/{rings}~2.csv")
    return Line(f'{sex},{rings},"{number}, ""so""\r\nto speak"\r\n'.encode(), paths)


HEADERS: Mapping[str, bytes] = {"a.csv": b"Sex,Number,Count\n", "b.csv": b"Sex,Number,Text\r\n"}
_LINES: Mapping[str, Callable[[int], Line]] = {"a.csv": _plain, "b.csv": _quoted}


def lines(source: str, parts: int) -> list[Line]:
    """The records of a source's first parts."""
    return [_LINES[source](number) for number in range(parts * _ROWS_A_PART)]


def content(source: str, parts: int) -> bytes:
    """A source as it is with so many parts."""
    return HEADERS[source] + b"".join(line.content for line in lines(source, parts))


def expected_files(parts: int) -> dict[str, bytes]:
    """The category files of both sources, as they are without rolling."""
    files: dict[str, bytes] = {}
    for source, header in HEADERS.items():
        for line in lines(source, parts):
            for path in line.paths:
                files[path] = files.get(path, header) + line.content
    return files


@dataclass(frozen=True, slots=True)
class Restored:
    """A fixture that is at hand again: its folder, and its broker, which runs."""

    folder: Path
    bootstrap: str

    def write(self, parts: int) -> None:
        """Let every source have so many parts, in the files that are there."""
        for source in HEADERS:
            with (self.folder / "in" / source).open("r+b") as file:
                file.write(content(source, parts))

    def output(self, variety: Variety) -> Path:
        """Where a pipeline's files are."""
        return self.folder / f"out-{variety.name}"

    def start(self, variety: Variety, name: str, code: Path = PROJECT, **settings: str) -> "subprocess.Popen[bytes]":
        """Start a service of a pipeline, of the present version or of the one whose code this is."""
        with (self.folder / f"{variety.name}-{name}.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"services.{name}"],
                cwd=self.folder,
                env={**self.environment(variety), "PYTHONPATH": str(code), **settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def environment(self, variety: Variety) -> dict[str, str]:
        """The settings of a pipeline."""
        own = {
            "INPUT": INPUT,
            "SPLIT_BY": SPLIT_BY,
            "KAFKA_BOOTSTRAP_SERVERS": self.bootstrap,
            "TOPIC_PREFIX": f"{variety.name}.",
            "OUTPUT_DIR": str(self.output(variety)),
            "PARTITIONS": "3",
            "RETENTION_H": "0",
        }
        return {**os.environ, **own, **variety.settings}

    def progress(self, variety: Variety) -> list[Progress]:
        """How far each source is read."""
        latest: dict[str, Progress] = {}
        for record in Observer(self.bootstrap, f"{variety.name}.").records("progress"):
            found = decode_progress(record.value)
            if isinstance(found, Progress):
                latest[found.source] = found
        return list(latest.values())

    def rows(self, variety: Variety, topic: str) -> int:
        """How many rows a topic has."""
        found = Observer(self.bootstrap, f"{variety.name}.").records(topic)
        return sum("nacre" not in record.headers for record in found)


@contextmanager
def restored(name: str, folder: Path) -> Iterator[Restored]:
    """Unpack a fixture into a folder, and start its broker."""
    with tarfile.open(FIXTURES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    with _broker(folder) as kafka:
        yield Restored(folder, kafka.bootstrap)


def names() -> list[str]:
    """All fixtures, the oldest first."""
    return sorted(path.name.removesuffix(".tar.xz") for path in FIXTURES.glob("*.tar.xz"))


def _broker(folder: Path) -> LocalKafka:
    return LocalKafka(data_dir=folder / "kafka", config=_BROKER)


def _make(name: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.joinpath("in").mkdir()
        for part in _CODE:
            shutil.copytree(
                PROJECT / part, folder / "code" / part, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.c")
            )
        with _broker(folder) as kafka:
            made = Restored(folder, kafka.bootstrap)
            # Long enough that no source has ended where its next part is read and ingest killed.
            running = {
                variety.name: {name: made.start(variety, name, SETTLE_S="5") for name in SERVICES}
                for variety in VARIETIES
            }
            try:
                _leave_in_the_middle(made, running)
            finally:
                for services in running.values():
                    for process in services.values():
                        process.kill()
                        process.wait()
        FIXTURES.mkdir(exist_ok=True, parents=True)
        with tarfile.open(FIXTURES / f"{name}.tar.xz", "w:xz", preset=9) as archive:
            for entry in ("kafka", "in", "code", *(f"out-{variety.name}" for variety in VARIETIES)):
                archive.add(folder / entry, entry, filter=_anonymous)


def _leave_in_the_middle(made: Restored, running: Mapping[str, Mapping[str, "subprocess.Popen[bytes]"]]) -> None:
    splits, rejected_a_part = 3, _ROWS_A_PART // _BAD_EVERY
    # The first source alone, so that its schema is the first.
    for number, source in enumerate(HEADERS):
        (made.folder / "in" / source).write_bytes(content(source, 1))
        rows = (number + 1) * _ROWS_A_PART - number * rejected_a_part
        for variety in VARIETIES:
            _wait(made, variety, "rows", rows)
            _wait(made, variety, "categorized", splits * rows)
    expected = sum(map(len, expected_files(1).values()))
    wait_until(lambda: _size(made.output(VARIETIES[0])) >= expected, "sink has written all")
    for variety in VARIETIES:
        wait_until(partial(_has_receipts, made.output(variety)), "all is delivered so far")
    for parts, service in enumerate(("sink", "split"), start=2):
        _kill(running, service)
        made.write(parts)
        for variety in VARIETIES:
            rows = 2 * parts * _ROWS_A_PART - parts * rejected_a_part
            _wait(made, variety, "rows", rows)
            if service == "sink":
                _wait(made, variety, "categorized", splits * rows)
    _kill(running, "ingest")
    for variety in VARIETIES:
        ended = [each for each in made.progress(variety) if each.ended]
        assert not ended, f"{variety.name}: ingest was not killed in mid-file: {ended}"
    made.write(4)
    for source in HEADERS:
        with (made.folder / "in" / source).open("r+b") as file:
            file.truncate(len(content(source, 4)) - _HELD_BACK_BYTES)


def _wait(made: Restored, variety: Variety, topic: str, rows: int) -> None:
    wait_until(lambda: made.rows(variety, topic) == rows, f"{variety.name}: {topic} has {rows} rows")


def _kill(running: Mapping[str, Mapping[str, "subprocess.Popen[bytes]"]], name: str) -> None:
    for services in running.values():
        assert services[name].poll() is None, f"{name} has ended by itself"
        services[name].kill()
        services[name].wait()


def _has_receipts(output: Path) -> bool:
    return len(list(output.glob("_receipts/**/*.json"))) == len(HEADERS)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.csv"))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """An entry without its owner, and none for a log of the broker."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return None if entry.name.endswith(".log") and entry.name.count("/") == 1 else entry


def main(arguments: Sequence[str]) -> int:
    """Make the fixture of this name."""
    [name] = arguments
    _make(name)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
