"""A source that was begun under other settings: refused, read again, or left as it is. Real files, no broker."""

import asyncio
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.record.memory_records import MemoryRecords
from msgspec.structs import replace
from structlog.testing import capture_logs

from common.aiokafka_internals.batch_builder import NewBatch
from common.kafka.transaction import Outbox
from common.pipeline.schema_numbers import Registered
from common.pipeline.topics import Topics
from common.protocol.progress import Progress, decode_progress, encode_progress
from common.protocol.rejections import BegunAnew, Rejection, decode_rejection
from common.rows.schema import Dialect, Schema
from common.rows.tally import tally
from common.settings_reader import make_settings
from ops.findings import Finding
from ops.validate.begun import as_sources, judge_begun
from services.ingest.changed_settings import begun_with, changes, find_changed_settings
from services.ingest.context import IngestContext
from services.ingest.files.finding import file_of, look_at, source_name
from services.ingest.followed_file import FollowedFile
from services.ingest.naming.locations import SourceLocation
from services.ingest.parsing.options import ReadOptions
from services.ingest.settings import IngestSettings

TOPICS = Topics.under("")
SEMICOLONS = b"S;v\nM;1\nF;2\n"


class Registry:
    """Schemas by their ids."""

    def __init__(self) -> None:
        self.schemas: dict[str, Schema] = {}

    async def register(self, schema: Schema) -> Registered:
        """Keep it."""
        self.schemas[schema.id] = schema
        return Registered(1, schema)

    async def find(self, schema_id: str) -> Registered:
        """A schema that is kept."""
        return Registered(1, self.schemas[schema_id])


class Run:
    """An ingest of one file with ONCE: what it put out, and where the source stands then.

    `between` is called after the look at the input, before the file is read.
    """

    registry: Any
    progress: Progress

    def __init__(
        self, path: Path, before: "Run | None" = None, between: Callable[[], None] = lambda: None, /, **settings: str
    ) -> None:
        given = {"input": str(path), "once": "true", **settings}
        self.settings = make_settings(IngestSettings, given)
        self.registry = before.registry if before is not None else Registry()
        self.outbox = Outbox(lambda: NewBatch(100_000))
        context = IngestContext(self.settings, TOPICS, self.registry)
        known = before.progress if before is not None else Progress(source_name(path))
        followed = FollowedFile(context, look_at({"": path})[""], known)
        between()
        context.check_rejected(known)
        with capture_logs() as self.logs:
            asyncio.run(self._read(followed))
        self.trouble = followed.trouble
        known_again = decode_progress(encode_progress(followed.progress))
        assert isinstance(known_again, Progress)
        self.progress = known_again

    async def _read(self, followed: FollowedFile) -> None:
        while not followed.finished:
            await followed.put_next_rows(self.outbox)

    @property
    def rows(self) -> list[bytes]:
        """The rows that went out."""
        return [record.value for record in self._records(TOPICS.rows) if not record.headers]

    @property
    def rejected(self) -> list[Any]:
        """What went to `rejected`."""
        return [decode_rejection(list(record.headers), record.value) for record in self._records(TOPICS.rejected)]

    def _records(self, topic: str) -> list[Any]:
        found: list[Any] = []
        for (name, _), batches in self.outbox.batches.items():
            for built in batches if name == topic else ():
                batch = MemoryRecords(bytes(built._build())).next_batch()  # noqa: SLF001 - what the producer sends
                assert batch is not None
                found += list(batch)
        return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "a.csv"
    made.write_bytes(SEMICOLONS)
    return made


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


CHANGED = [
    ("delimiter", ",", ";", "DELIMITER was , and is ;"),
    ("delimiter", "|", "tab", "DELIMITER was | and is tab"),
    ("delimiter", ",", "auto", "DELIMITER was , and is auto (;)"),
    ("delimiter", "auto", ",", "DELIMITER was auto (;) and is ,"),
    ("header", "first", "none", "HEADER was first and is none"),
    ("skip_lines", "0", "1", "SKIP_LINES was 0 and is 1"),
    ("quote", '"', "none", 'QUOTE was " and is none'),
    ("quote", "auto", "'", "QUOTE was auto (\") and is '"),
    ("encoding", "utf-8", "cp1252", "ENCODING was utf-8 and is cp1252"),
    ("row_format", "csv", "json", "ROW_FORMAT was csv and is json"),
]


@pytest.mark.parametrize(("name", "then", "now", "change"), CHANGED)
def test_a_source_with_rows_under_another_setting_is_refused_with_both_values_and_the_way_out(
    path: Path, name: str, then: str, now: str, change: str
) -> None:
    first = Run(path, None, **{name: then})
    assert first.progress.tally.rows == 2 or name == "skip_lines"
    append(path, b"M;3\n")
    second = Run(path, first, **{name: now})
    assert change in second.trouble
    assert second.trouble.startswith(f"{path}: 2 rows of it went out under other settings")
    assert "set them back to read on" in second.trouble
    assert (second.rows, second.rejected, second.progress) == ([], [], first.progress)
    [event] = [entry for entry in second.logs if entry["log_level"] == "error"]
    assert event["source"] == str(path)
    # Set back, it is read on.
    third = Run(path, second, **{name: then})
    assert (third.trouble, third.progress.tally.rows) == ("", 3)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ({"delimiter": "auto"}, {"delimiter": ";"}),
        ({"delimiter": ";"}, {"delimiter": "auto"}),
        ({"delimiter": "auto", "quote": "auto"}, {"delimiter": ";", "quote": '"'}),
        ({"delimiter": ";"}, {"delimiter": "auto", "quote": "auto"}),
        ({"delimiter": "auto"}, {"delimiter": "auto"}),
        ({}, {"settle_s": "9", "order": "none", "max_rejected": "5"}),
    ],
)
def test_settings_that_mean_the_same_are_no_change(path: Path, then: dict[str, str], now: dict[str, str]) -> None:
    first = Run(path, None, **then)
    append(path, b"M;3\n")
    second = Run(path, first, **now)
    assert (second.trouble, second.rows) == ("", [b"M;3"])


def test_a_source_read_to_its_end_stays_as_it_is_and_the_log_says_so(path: Path) -> None:
    first = Run(path)
    second = Run(path, first, delimiter=";")
    assert (second.trouble, second.rows) == ("", [])
    [event] = [entry for entry in second.logs if entry["log_level"] == "warning"]
    assert (event["first"], event["changed"]) == (str(path), ("DELIMITER was , and is ;",))


def test_a_row_that_comes_between_the_look_and_the_turn_is_refused_and_not_passed_over(path: Path) -> None:
    first = Run(path)
    second = Run(path, first, lambda: append(path, b"M;3\n"), delimiter=";")
    assert "2 rows of it went out under other settings" in second.trouble
    assert not [entry for entry in second.logs if "stay as they are" in entry["event"]]
    assert second.rows == []


def test_a_source_without_rows_is_read_again_and_its_rejections_are_void(path: Path) -> None:
    path.write_bytes(b'S,v\n"a" b,1\n"c" d,2\n')
    first = Run(path, max_rejected="9")
    assert (first.rows, first.progress.rejected) == ([], 2)
    # Under the old settings, more were rejected than MAX_REJECTED now allows.
    second = Run(path, first, quote="none", max_rejected="0")
    assert second.rows == [b'"a" b,1', b'"c" d,2']
    assert second.rejected == [BegunAnew(str(path))]
    assert (second.progress.rejected, second.progress.tally.rows) == (0, 2)
    assert second.progress.begun["QUOTE"] == "none"
    # From here on it is a source like any other.
    assert Run(path, second).progress == second.progress


def test_new_rejections_come_after_the_note_that_the_source_is_read_again(path: Path) -> None:
    path.write_bytes(b"S,v\nM\nF\n")
    first = Run(path)
    second = Run(path, first, delimiter=";", skip_lines="1")
    assert second.rows == [b"F"]
    third = Run(path, first, delimiter="|", quote="none")
    assert third.rows == [b"M", b"F"]
    path.write_bytes(b"\nS,v\nM\n")
    note, blank, row = Run(path, Run(path), quote="none").rejected
    assert note == BegunAnew(str(path))
    assert [each.reason for each in (blank, row) if isinstance(each, Rejection)] == [
        "blank line",
        "1 field, the header has 2",
    ]


@pytest.mark.parametrize("data", [b"S;v\n", b"\n\n", b"note\n"])
def test_a_header_alone_or_less_is_read_again(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    first = Run(path, skip_lines="3" if data == b"note\n" else "0")
    assert first.progress.offset == len(data)
    append(path, SEMICOLONS)
    second = Run(path, first, delimiter=";", quote="none", skip_lines="1" if data == b"note\n" else "0")
    assert second.trouble == ""
    assert b"M;1" in second.rows


@pytest.mark.parametrize("beginning", [b"id;S;v", b"sep=;\r\n", b"\xef\xbb\xbfid"])
def test_a_source_whose_dialect_is_not_detected_yet_ends_and_is_read_from_its_beginning_later(
    path: Path, beginning: bytes
) -> None:
    path.write_bytes(beginning)
    first = Run(path, None, delimiter="auto")
    assert (first.progress.ended, first.progress.offset) == (True, 0)
    assert [entry["event"] for entry in first.logs].count("dialect not detected yet") == 1
    append(path, b"x;y;z" if beginning.endswith(b"\n") else b"\r\n")
    second = Run(path, first, delimiter="auto")
    assert (second.progress.ended, second.progress.size) == (True, len(path.read_bytes()))
    append(path, b"\n1;2;3\n4;5;6\n")
    assert Run(path, second, delimiter="auto").rows[-1] == b"4;5;6"


def test_a_file_that_was_changed_is_refused_for_that(path: Path) -> None:
    first = Run(path)
    path.write_bytes(b"S;v\nX;9\nF;2\nM;3\n")
    assert "changed" in Run(path, first, delimiter=";").trouble


def test_a_name_that_is_not_unicode_is_reported_as_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xe9.csv")
    path.symlink_to("gone")
    assert Run(path, None, input="/").trouble == f"cannot read {source_name(path)}: No such file or directory"
    path.unlink()
    for data, other in ((SEMICOLONS, b"X;9\nF;2\nM;3\n" * 2), (SEMICOLONS, b"x"), (gzip.compress(SEMICOLONS), b"x")):
        path.write_bytes(data)
        first = Run(path, None, input="/")
        path.write_bytes(other if data is SEMICOLONS else gzip.compress(other))
        assert Run(path, first, input="/").trouble.startswith(f"{source_name(path)} ")
    path.write_bytes(gzip.compress(SEMICOLONS)[:-9])
    assert Run(path, None, input="/").trouble.startswith(f"{source_name(path)} cannot be unpacked")


def test_a_source_begun_before_settings_were_remembered_goes_on() -> None:
    now = begun_with(ReadOptions(), None)
    assert changes({}, now) == ()
    assert changes(now, now) == ()


def test_auto_is_remembered_with_the_mark_that_it_detected() -> None:
    options = ReadOptions(delimiter=None, quote=None)
    begun = begun_with(options, Dialect(b"\t", b""))
    assert (begun["DELIMITER"], begun["QUOTE"]) == ("auto (tab)", "auto (none)")
    assert changes(begun, begun_with(options, None)) == ()
    assert changes(begun, begun_with(ReadOptions(delimiter=b"\t", quote=b""), None)) == ()
    assert changes(begun, begun_with(ReadOptions(delimiter=b"\t"), None)) == ('QUOTE was auto (none) and is "',)


def test_validate_says_what_was_begun_under_other_settings(path: Path) -> None:
    first = Run(path)
    source, now = source_name(path), ReadOptions(delimiter=b";")
    files = {source: path}

    def judged(progress: Progress) -> list[tuple[bool, str]]:
        return [(finding.holds, finding.text) for finding in judge_begun(files, {source: progress}, now)]

    [(holds, text)] = judged(first.progress)
    assert holds
    assert text == f"1 file was read to the end under other settings, and no row is sent again: {source}"
    append(path, b"M;3\n")
    [(holds, text)] = judged(first.progress)
    assert not holds
    assert "(DELIMITER was , and is ;)" in text
    [(holds, text)] = judged(replace(first.progress, tally=tally([])))
    assert holds
    assert "is read again from its beginning" in text
    assert judge_begun(files, {source: first.progress}, ReadOptions()) == []
    # It is another file by now, of which nothing was read.
    path.write_bytes(b"x")
    assert judged(first.progress) == []


def test_validate_passes_over_a_known_file_that_cannot_be_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Run(path)
    source = source_name(path)

    def judged() -> list[Finding]:
        return judge_begun({source: path}, {source: first.progress}, ReadOptions(delimiter=b";"))

    def find_and_delete(content: Any, progress: Progress, options: ReadOptions) -> tuple[str, ...]:
        content.fingerprint(progress)
        changed = find_changed_settings(content, progress, options)
        monkeypatch.setattr(type(content), "fingerprint", lambda *_: path.unlink(missing_ok=True))
        return changed

    monkeypatch.setattr("ops.validate.begun.find_changed_settings", find_and_delete)
    assert judged() == []
    assert not path.exists()
    assert judged() == []


def test_validate_knows_a_renamed_file_by_itself(path: Path) -> None:
    source = source_name(path)
    renamed = path.rename(path.with_name("a.csv.1"))
    path.write_bytes(SEMICOLONS)
    files = {source: path, source_name(renamed): renamed}
    locations = {source: SourceLocation(source_name(renamed), file_of(renamed.stat()))}
    # Nothing was read of the file that has its name now.
    assert as_sources(files, locations) == {source: renamed}
    locations[f"{source}//2"] = SourceLocation(source, file_of(path.stat()))
    assert as_sources(files, locations) == {source: renamed, f"{source}//2": path}
    # A file written again under the same name, as by editors, may be the same.
    path.with_name("new").write_bytes(SEMICOLONS)
    path.with_name("new").rename(path)
    assert as_sources({source: path}, locations) == {f"{source}//2": path}
    assert as_sources({source: path}, {}) == {source: path}
