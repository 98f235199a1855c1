"""The bytes of a followed file: what is held and what goes out, wherever the reads cut it."""

import errno
import gzip
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from services.ingest.files import content
from services.ingest.files import reading as files
from tests.harness.reading import Reader, Schemas, clocked

__all__ = ["clocked"]


packed = pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


# CRLF cut between two reads


@pytest.mark.parametrize(
    ("settings", "data"),
    [
        pytest.param({}, b"S,a\r\nM,1\r\nF,2\r\nM,3\r\nF,4\r\n", id="rows"),
        pytest.param({}, b"S\r\nM\r\nF\r\nM\r\n", id="one column"),
        pytest.param({}, b"S,a\nM,1\r\nF,2\r\nM,3\n", id="another line ending than the header's"),
        pytest.param({}, b"S,a\r\nM,1\nF,2\r\n", id="mixed"),
        pytest.param({}, b'S,"a\r\nb"\r\nM,"1\r\n2"\r\nF,2\r\n', id="within quotes"),
        pytest.param({"skip_lines": 2}, b"note\r\n\r\nS,a\r\nM,1\r\n", id="lines to skip"),
        pytest.param({"header": "none"}, b"M,1\r\nF,2\r\nM,3\r\n", id="no header"),
        pytest.param({"header": "none"}, b"M\r\nF\r\nM\r\n", id="no header, one column"),
    ],
)
async def test_crlf_may_be_cut_anywhere(clocked: Reader, settings: dict[str, object], data: bytes) -> None:
    expected = re.sub(rb"\Anote\r\n\r\n", b"", data)
    for cut in [match.start() + 1 for match in re.finditer(rb"\r\n", data)]:
        # At the end of a run with ONCE, a row that is cut within quotes goes out in halves.
        for once in (True, False) if data[:cut].count(b'"') % 2 == 0 else (False,):
            clocked.path.write_bytes(data[:cut])
            reader = Reader(clocked.path, dict(settings))
            clocked.clock = 0.0
            if once:
                await reader.run()
                assert reader.output == (expected[: cut - len(data)] if reader.rows else b"")
            else:
                await follow(clocked, reader, 3)
            append(clocked.path, data[cut:])
            if once:
                await reader.run()
            else:
                await follow(clocked, reader, 3)
            # The rest of a line ending whose row went out waits for the next row.
            is_late = once and cut == len(data) - 1
            assert reader.output == (expected[:-1] if is_late else expected)
            assert not reader.rejects
            assert reader.ends[-1].tally.rows == len(reader.rows)


async def follow(clocked: Reader, reader: Reader, seconds: float) -> None:
    """Look now, and again so many seconds later by the fixture's clock."""
    await reader.read()
    clocked.clock += seconds
    await reader.read()


async def test_blank_lines_are_not_counted_twice_where_crlf_is_cut(clocked: Reader) -> None:
    data = b"\r\n\r\nS,a\r\n\r\nM,1\r\n"
    for cut in (1, 3, 10):
        clocked.path.write_bytes(data[:cut])
        reader = Reader(clocked.path)
        await reader.run()
        append(clocked.path, data[cut:])
        await reader.run()
        assert [(reject.line, reject.offset, reject.raw) for reject in reader.rejects] == [
            (1, 0, b""),
            (2, 2, b""),
            (4, 9, b""),
        ]
        assert reader.output == b"S,a\r\nM,1\r\n"


async def test_a_file_that_ends_with_cr_comes_out_as_it_is(clocked: Reader) -> None:
    for data in (b"S,a\r\nM,1\r\nF,2\r", b"S,a\nM,1\r", b"S,a\rM,1\rF,2\r", b"S\rM\r"):
        clocked.path.write_bytes(data)
        reader = Reader(clocked.path)
        await reader.run()
        assert reader.output == data
        reader = Reader(clocked.path, {"settle_s": 0, "unterminated_s": 0})
        await reader.read()
        assert reader.output == data


async def test_the_last_row_of_a_file_with_cr_does_not_wait(clocked: Reader) -> None:
    clocked.path.write_bytes(b"S,a\rM,1\rF,2\r")
    await follow(clocked, clocked, 3)
    assert clocked.output == clocked.path.read_bytes()
    assert len(clocked.ends) == 1


PIECES = [b'"', b",", b",", b"\n", b"\r", b"\r\n", b"\r\n", b"a", b"\0", b"\xff", b'"a"', b"a,b\r\n", b"a,b\n"]
SOUP = st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=SOUP, edges=st.lists(st.integers(0, 30), max_size=4), header=st.sampled_from(["first", "none"]))
@example(data=b"a,b\r\na,b\r\n", edges=[9], header="first")
@example(data=b"a\r\na\r\n", edges=[2, 5], header="none")
@example(data=b'\n"', edges=[1], header="first")
async def test_how_a_followed_file_is_cut_makes_no_difference(
    clocked: Reader, data: bytes, edges: list[int], header: str
) -> None:
    async def read(cuts: list[int], *, restart: bool) -> tuple[object, ...]:
        clocked.path.write_bytes(b"")
        reader = Reader(clocked.path, {"header": header})
        for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            append(clocked.path, data[begin:end])
            await follow(clocked, reader, 3)
            if restart:
                reader.start()
        await follow(clocked, reader, 61)
        rejects = [(each.line, each.offset, each.raw, each.reason) for each in reader.rejects]
        progress = reader.progress
        assert progress is not None
        assert reader.followed is not None
        if not progress.schema:
            # Before a header that is not complete, blank lines wait for it, unless they came alone.
            return reader.output, progress.tally, reader.followed.trouble
        return reader.output, rejects, progress.tally, progress.line, progress.offset, reader.followed.trouble

    cuts = sorted({edge for edge in edges if edge < len(data)})
    # Where lines end with CR alone, a CR at the end of a read ends its line and is not held for long.
    whole = await read([], restart=False)
    if b"\r" not in re.sub(rb"\r\n", b"", data):
        assert await read(cuts, restart=False) == whole
        assert await read(cuts, restart=True) == whole


# Half a row


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (b"S,amount\nM,10\nM,12", b"345\nF,7\n"),
        (b"S,am", b"ount\nM,1\n"),
        (b'S,a\n"M', b'",1\nF,2\n'),
        (b'S,a\nM,"1\n', b'2"\nF,7\n'),
        (b'S,"a\n', b'b"\nM,1\n'),
        (b"S\nM", b"\nF\n"),
        (b"\n\nS", b",a\nM,1\n"),
    ],
)
async def test_half_a_row_waits_for_its_other_half(clocked: Reader, first: bytes, second: bytes) -> None:
    clocked.path.write_bytes(first)
    await follow(clocked, clocked, 30)
    append(clocked.path, second)
    await follow(clocked, clocked, 3)
    assert clocked.output == (first + second).lstrip(b"\n")
    assert all(reject.reason == "blank line" for reject in clocked.rejects)


async def test_where_lines_end_with_cr_a_row_within_quotes_waits_for_its_rest(clocked: Reader) -> None:
    clocked.path.write_bytes(b'S,a,b\rM,1,x\rM,"2\rF,3",x\r3,"line one\rline two,x,y\r')
    await follow(clocked, clocked, 30)
    assert clocked.rows == [b"M,1,x", b'M,"2\rF,3",x']
    append(clocked.path, b'line three",x\r')
    await follow(clocked, clocked, 3)
    assert clocked.output == clocked.path.read_bytes()
    assert not clocked.rejects


async def test_a_source_with_half_a_row_has_not_ended_and_the_log_says_when_it_goes_out(clocked: Reader) -> None:
    clocked.path.write_bytes(b"S,a\nM,1\nM,12")
    await follow(clocked, clocked, 59)
    assert clocked.output == b"S,a\nM,1\n"
    assert not clocked.ends
    with capture_logs() as logs:
        await clocked.read(2)
    assert clocked.output == b"S,a\nM,1\nM,12"
    assert [end.tally.rows for end in clocked.ends] == [2]
    logged = [line for line in logs if line["event"] == "the last row has no line ending and is taken as it is"]
    assert [(line["source"], line["line"]) for line in logged] == [(str(clocked.path), 3)]


@pytest.mark.parametrize("settle_s", [0.5, 5])
async def test_half_a_row_is_held_as_long_as_is_set_and_never_shorter_than_a_whole_row(
    clocked: Reader, settle_s: float
) -> None:
    clocked.path.write_bytes(b"S,a\nM,1")
    clocked.settings = {"unterminated_s": 1, "settle_s": settle_s}
    await follow(clocked, clocked, max(1, settle_s) - 0.25)
    assert not clocked.ends
    await clocked.read(0.5)
    assert clocked.output == b"S,a\nM,1"


@pytest.mark.parametrize("data", [b"S,am", b"S,am\r", b"\n\nS,am", b"\xef\xbb\xbfS,am", b""])
@pytest.mark.parametrize("once", [True, False])
async def test_half_a_header_is_logged_once_and_its_source_ends(clocked: Reader, data: bytes, *, once: bool) -> None:
    clocked.path.write_bytes(data)
    clocked.settings["once"] = once
    with capture_logs() as logs:
        for _ in range(4):
            await clocked.read(30)
    assert clocked.progress is not None
    assert clocked.progress.ended
    assert [end.tally.rows for end in clocked.ends] == [0]
    assert [line["event"] for line in logs].count("a header waits for its line ending") == (data != b"")
    assert clocked.followed is not None
    assert clocked.followed.finished
    for more in (b"ou", b"nt\n", b"M,1\n"):
        append(clocked.path, more)
        if once:
            clocked.start()
        await clocked.read(30)
    if data.endswith(b"\r"):
        # A lone CR ends the header after all.
        assert b"".join(reject.raw for reject in clocked.rejects) == b"ount"
    elif data:
        assert clocked.output == data.lstrip(b"\n") + b"ount\nM,1\n"


@pytest.mark.parametrize("restart", [True, False])
async def test_half_a_header_that_is_rewritten_is_read(clocked: Reader, *, restart: bool) -> None:
    clocked.path.write_bytes(b"S,am")
    await follow(clocked, clocked, 3)
    clocked.path.write_bytes(b"S\nM\n")
    if restart:
        clocked.start()
    await follow(clocked, clocked, 3)
    assert clocked.output == b"S\nM\n"


@pytest.mark.parametrize("settle_s", [0, 0.25, 3])
@pytest.mark.parametrize(
    ("settings", "data", "seconds"),
    [
        ({"header": "none"}, b"M;1\nF;2\n", 4),
        ({"header": "none"}, b"M;1", 12),
        ({}, b'S;"a\nM;1\nF;2\n', 12),
        ({}, b"\n\nS;a\n", 12),
    ],
)
async def test_complete_rows_do_not_rest_because_their_dialect_is_not_detected_yet(
    clocked: Reader, settings: dict[str, object], data: bytes, seconds: int, settle_s: float
) -> None:
    clocked.path.write_bytes(data)
    clocked.settings = {"delimiter": "auto", "settle_s": settle_s, "unterminated_s": 10, **settings}
    await clocked.read()
    for _ in range(seconds * 4):
        await clocked.read(0.25)
    assert clocked.followed is not None
    assert clocked.followed.finished
    assert len(clocked.rows) == {b"M": data.count(b";"), b"S": 2, b"\n": 0}[data[:1]]
    append(clocked.path, b"\nI;3\n")
    for _ in range(20):
        await clocked.read(0.25)
    assert clocked.rows[-1] == b"I;3"


async def test_a_held_file_is_not_read_again_and_again(clocked: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    clocked.path.write_bytes(b"S,a\nM,1\nM,12")
    await follow(clocked, clocked, 10)

    def refuse(*_: object) -> bytes:
        raise AssertionError("read again")

    monkeypatch.setattr(content.PlainFile, "read_chunk", refuse)
    await clocked.read(10)


@packed
async def test_a_packed_file_is_not_held(clocked: Reader, pack: Callable[[bytes], bytes]) -> None:
    clocked.path.write_bytes(pack(b"S,a\nM,12"))
    await follow(clocked, clocked, 3)
    assert clocked.output == b"S,a\nM,12"
    assert len(clocked.ends) == 1


# A file replaced by one of the same size

V1, V2 = b"S,x\nM,1\n", b"S,x\nF,9\n"


def moved(path: Path, data: bytes) -> None:
    path.with_name("new").write_bytes(data)
    path.with_name("new").rename(path)


def removed_and_new(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def in_place_with_its_time(path: Path, data: bytes) -> None:
    before = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def link_swapped(path: Path, data: bytes) -> None:
    path.with_name("v2").write_bytes(data)
    path.with_name("link").symlink_to(path.with_name("v2"))
    path.with_name("link").rename(path)


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("replace", [moved, removed_and_new, in_place, in_place_with_its_time, link_swapped])
async def test_a_file_replaced_by_one_of_the_same_size_is_noticed(
    clocked: Reader, replace: Callable[[Path, bytes], None], pack: Callable[[bytes], bytes]
) -> None:
    assert len(pack(V1)) == len(pack(V2))
    clocked.path.write_bytes(pack(V1))
    await follow(clocked, clocked, 3)
    assert clocked.followed is not None
    assert clocked.followed.finished
    replace(clocked.path, pack(V2))
    await follow(clocked, clocked, 3)
    assert "changed" in clocked.followed.trouble
    assert str(clocked.path) in clocked.followed.trouble
    replace(clocked.path, pack(V1))
    await follow(clocked, clocked, 3)
    assert not clocked.followed.trouble
    append(clocked.path, pack(V1[4:]))
    await follow(clocked, clocked, 3)
    assert clocked.output == V1 + V1[4:]


async def test_a_touched_file_is_left_alone(clocked: Reader) -> None:
    clocked.path.write_bytes(V1)
    await follow(clocked, clocked, 3)
    os.utime(clocked.path, (1, 1))
    await follow(clocked, clocked, 3)
    moved(clocked.path, V1)
    await follow(clocked, clocked, 3)
    assert clocked.followed is not None
    assert not clocked.followed.trouble
    assert clocked.output == V1
    assert len(clocked.ends) == 1


async def test_a_longer_file_with_another_beginning_is_noticed(clocked: Reader) -> None:
    rows = b"M,1\n" * 3000
    clocked.path.write_bytes(b"S,x\n" + rows)
    await follow(clocked, clocked, 3)
    moved(clocked.path, b"S,y\n" + rows + b"F,2\n")
    await follow(clocked, clocked, 3)
    assert clocked.followed is not None
    assert "changed" in clocked.followed.trouble


# Any content


async def test_a_header_that_no_topic_takes_costs_its_source_alone(clocked: Reader) -> None:
    clocked.path.write_bytes(b"S,a\nM,1\n")
    clocked.schemas = Schemas(most_columns=1)
    with capture_logs() as logs:
        for _ in range(3):
            await clocked.read(3)
    [logged] = [line for line in logs if line["event"] == "source cannot be read"]
    assert logged["reason"].startswith(f"{clocked.path}: its header is too long")
    assert not clocked.ends


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"," * 2_000_000 + b"\n1\n", id="columns"),
        pytest.param(b"x" * 11_000_000 + b"\n1\n", id="bytes"),
    ],
)
async def test_a_first_record_too_large_for_a_header_is_refused_before_it_is_parsed(
    clocked: Reader, data: bytes
) -> None:
    clocked.path.write_bytes(data)
    await clocked.run()
    assert clocked.followed is not None
    assert "too many for column names: is it a CSV file?" in clocked.followed.trouble


@pytest.mark.parametrize("data", [b"\n" * 25_000, b"S,a\n" + b"\n" * 25_000, b"\r\n" * 12_000 + b"S,a\nM,1"])
async def test_very_many_rejects_go_out_in_portions(clocked: Reader, data: bytes) -> None:
    clocked.path.write_bytes(data)
    await clocked.run()
    assert len(clocked.rejects) == {ord("\n"): 25_000, ord("S"): 25_000, ord("\r"): 12_000}[data[0]]
    assert clocked.progress is not None
    assert clocked.progress.ended
    assert (clocked.output == b"S,a\nM,1") == data.endswith(b"1")


BYTES = st.binary(max_size=60) | st.lists(
    st.sampled_from([*PIECES, b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"\xff\xfe", b"<html>", b"S\0,\0"]),
    max_size=12,
).map(b"".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=BYTES,
    header=st.sampled_from(["first", "none"]),
    skip_lines=st.integers(0, 2),
    row_format=st.sampled_from(["csv", "json"]),
    encoding=st.sampled_from(["utf-8", "cp1252", "shift_jis"]),
)
async def test_any_bytes_are_rows_rejects_or_a_source_s_own_trouble(
    clocked: Reader, data: bytes, header: str, skip_lines: int, row_format: str, encoding: str
) -> None:
    clocked.path.write_bytes(data)
    given_settings = {"header": header, "skip_lines": skip_lines, "row_format": row_format, "encoding": encoding}
    reader = Reader(clocked.path, given_settings)
    await reader.run()
    assert reader.progress is not None
    assert reader.followed is not None
    assert reader.followed.finished
    assert bool(reader.followed.trouble) != reader.progress.ended
    assert "\n" not in reader.followed.trouble


# Content that is not what its name says


@packed
async def test_a_compressed_file_is_known_by_its_first_bytes(clocked: Reader, pack: Callable[[bytes], bytes]) -> None:
    clocked.path.write_bytes(pack(V1))
    await clocked.run()
    assert clocked.output == V1


async def test_a_text_that_is_named_like_a_compressed_file_is_read_with_a_warning(
    clocked: Reader, tmp_path: Path
) -> None:
    clocked.path = tmp_path / "plain.csv.gz"
    clocked.path.write_bytes(b"")
    with capture_logs() as logs:
        await follow(clocked, clocked, 3)
        append(clocked.path, V1)
        await follow(clocked, clocked, 3)
        append(clocked.path, b"F,2\n")
        await follow(clocked, clocked, 3)
    assert clocked.output == V1 + b"F,2\n"
    assert [line["event"] for line in logs].count("not compressed, whatever its name says: read as it is") == 1


async def test_a_file_that_was_empty_may_become_a_packed_one(clocked: Reader) -> None:
    packed = gzip.compress(V1)
    clocked.path.write_bytes(b"")
    await follow(clocked, clocked, 3)
    for begin, end in ((0, 1), (1, 3), (3, len(packed))):
        append(clocked.path, packed[begin:end])
        await clocked.read(0.1)
    await clocked.read(3)
    assert clocked.output == V1


@packed
async def test_bytes_after_the_compressed_data_are_reported_with_their_offset(
    clocked: Reader, pack: Callable[[bytes], bytes]
) -> None:
    packed = pack(b"S,a\nM,1\n")
    for behind in (b"garbage\n", b"x", b"\0\0x"):
        clocked.path.write_bytes(packed + behind)
        reader = Reader(clocked.path)
        await reader.run()
        assert reader.followed is not None
        end = len(packed) + len(behind) - len(behind.lstrip(b"\0"))
        assert f"its compressed data ends at byte {end}, and what follows is not compressed" in reader.followed.trouble


# What is wrong with a file


async def test_each_file_that_replaces_another_is_reported_with_its_own_trouble(clocked: Reader) -> None:
    troubles = {
        b"PK\x03\x04": "zip archive",
        "S,a\nM,1\n".encode("utf-16"): "iconv",
        b"sep=;\nS;a\nM;1\n": "DELIMITER=auto",
    }
    with capture_logs() as logs:
        for data in troubles:
            moved(clocked.path, data)
            await follow(clocked, clocked, 3)
    reasons = [line["reason"] for line in logs if line["event"] == "source cannot be read"]
    assert [what in reason for what, reason in zip(troubles.values(), reasons, strict=True)] == [True] * len(troubles)


async def test_a_trouble_that_grows_is_logged_once(clocked: Reader) -> None:
    clocked.path.write_bytes(b"S,a\nM,1\nF,2\n")
    await follow(clocked, clocked, 3)
    with capture_logs() as logs:
        clocked.path.write_bytes(b"S,b\n")
        clocked.start()
        for _ in range(2):
            await follow(clocked, clocked, 3)
            append(clocked.path, b"I\n")
    assert [line["event"] for line in logs].count("source cannot be read") == 1


@packed
async def test_a_packed_file_of_which_no_row_went_out_is_read_again(
    clocked: Reader, pack: Callable[[bytes], bytes]
) -> None:
    clocked.path.write_bytes(pack(V1))
    clocked.settings["skip_lines"] = 100
    await clocked.run()
    assert not clocked.rows
    clocked.settings["skip_lines"] = 0
    append(clocked.path, pack(b"F,2\n"))
    await clocked.run()
    assert clocked.output == V1 + b"F,2\n"


@pytest.mark.parametrize("number", [errno.ETIMEDOUT, errno.ECONNRESET])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
async def test_a_disk_that_does_not_answer_is_its_file_s_trouble_alone(
    clocked: Reader, monkeypatch: pytest.MonkeyPatch, number: int, pack: Callable[[bytes], bytes]
) -> None:
    def fail(path: str, _flags: int) -> int:
        raise OSError(number, os.strerror(number), path)

    clocked.path.write_bytes(pack(V1))
    with monkeypatch.context() as patch:
        patch.setattr(files, "_open_at_once", fail)
        await clocked.read()
        assert clocked.followed is not None
        assert clocked.followed.trouble == f"cannot read {clocked.path}: {os.strerror(number)}"
    await clocked.read(1)
    await clocked.read(3)
    assert clocked.output == V1
    append(clocked.path, pack(b"F,2\n"))
    with monkeypatch.context() as patch:
        patch.setattr(files, "_open_at_once", fail)
        await follow(clocked, clocked, 3)
        assert clocked.followed.trouble
    await follow(clocked, clocked, 3)
    assert clocked.output == V1 + b"F,2\n"


@pytest.mark.parametrize("kind", [TimeoutError, ConnectionResetError])
async def test_a_request_that_kafka_does_not_answer_is_no_file_s_trouble(
    clocked: Reader, monkeypatch: pytest.MonkeyPatch, kind: type[OSError]
) -> None:
    async def fail(*_: object) -> None:
        raise kind

    clocked.path.write_bytes(V1)
    monkeypatch.setattr(clocked.schemas, "register", fail)
    with pytest.raises(kind):
        await clocked.read()
