"""What files are, and are not, by their first bytes."""

import io
import re
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from common.rows.schema import BOM
from services.ingest.parsing.opening import find_opening
from services.ingest.parsing.options import ReadOptions
from services.ingest.parsing.signatures import find_foreign, find_json

TEXT = "S,id\r\nM,1\r\nÄ,2\r\n"


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.csv", "S,id\nM,1\n")
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("a.csv")
        member.size = 9
        archive.addfile(member, io.BytesIO(b"S,id\nM,1\n"))
    return file.getvalue()


def database(folder: Path) -> bytes:
    path = folder / "a.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE a (b)")
    connection.close()
    return path.read_bytes()


FOREIGN: list[tuple[bytes | Callable[[], bytes], str]] = [
    (zipped, "zip archive or an Excel workbook"),
    (tarred, "tar archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(9), "old Excel workbook"),
    (b"PAR1\x15\x04\x15\x10", "Parquet"),
    (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "PDF"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image"),
    (b"\x1f\x8b\x08\0\0\0\0\0", "compressed twice"),
    (b"BZh91AY&SY\x12\x34", "bzip2"),
    (b"\xfd7zXZ\0\0\x04", "xz"),
    (b"<!DOCTYPE html>\n<p>Log in, please</p>\n", "HTML"),
    (b'\r\n  <!doctype HTML PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN"\n "http://x">', "HTML"),
    (b"<!doctype html><html><head><title>a,b</title>", "HTML"),
    (BOM + b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n", "HTML"),
    (b'<html lang="de"><body>\n', "HTML"),
    (b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code>', "XML"),
    (b"<html><h1>502 Bad Gateway</h1></html>\n", "HTML"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12\n", "Git LFS"),
    (b"/annex/objects/SHA256E-s12--4d7a.csv\n", "git-annex"),
    (TEXT.encode("utf-16"), "iconv -f UTF-16 -t UTF-8"),
    (TEXT.encode("utf-32"), "iconv -f UTF-32 -t UTF-8"),
    (b"\0\0\xfe\xff" + TEXT.encode("utf-32-be"), "iconv -f UTF-32 -t UTF-8"),
    *((TEXT.encode(name), f"iconv -f {name} -t UTF-8") for name in ("UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE")),
    ("имя;年龄\n1;2\n".encode("utf-16-le"), "UTF-16LE"),
    ("имя;年龄\n1;2\n".encode("utf-16-be"), "UTF-16BE"),
]


@pytest.mark.parametrize(("data", "what"), FOREIGN)
def test_a_file_that_is_no_csv_is_named(data: bytes | Callable[[], bytes], what: str) -> None:
    data = data if isinstance(data, bytes) else data()
    for at_end in (True, False):
        reason = find_foreign(data, at_end=at_end)
        assert reason is not None
        assert what in reason


def test_a_database_is_named(tmp_path: Path) -> None:
    assert "SQLite" in (find_foreign(database(tmp_path), at_end=True) or "")


@pytest.mark.parametrize(
    "data",
    [
        b"PK,id\n1,2\n",
        b"PK\n1\n",
        b"PAR1,PAR2\n1,2\n",
        b"ORC,elf\n",
        b"Object,id\n",
        b"SQLite format 3,id\n",
        b"%PDF-1.7,pages\n1,2\n",
        b"BZh9,id\n",
        b"GIF89a,id\n1,2\n",
        b"7z,Rar!,id\n",
        b"<html>,<body>\n1,2\n",
        b"<html>\n<p>\n<b>\n",
        b"<html>;<head>\n",
        b"<!DOCTYPE html>,count\n1,2\n",
        b"<!doctype html,count>\n1,2\n",
        b'<?xml version="1.0"?>,n\n1,2\n',
        b"<html> ,<h1>\n1,2\n",
        b"version https://git-lfs.github.com/spec/v1,oid\n1,2\n",
        b"/annex/objects/a,b\n1,2\n",
        b"(id)\n1\n",
        b"P*M,id\n",
        b"a\0,b\n1,2\n",
        b"a\0b\n\0,1\n",
        b"\0a,b\n1,2\n",
        b"ab\n\0x,1\n",
        b"\0\n\0\n",
        "ÿþ,id\n1,2\n".encode(),
        b"",
        b"\n",
    ],
)
def test_a_csv_file_that_begins_like_something_else_is_one(data: bytes) -> None:
    assert find_foreign(data, at_end=True) == ""
    assert find_foreign(data + b"3,4\n" * 9, at_end=False) == ""


PIECES = [
    b"<html>",
    b"<head>",
    b"<!doctype html>",
    b"\n",
    b"\r\n",
    b",",
    b" ",
    b"\0",
    b"a",
    b"a\0",
    b"\xff\xfe",
    b"PK\x03\x04",
]


@given(st.lists(st.sampled_from(PIECES), max_size=10).map(b"".join) | st.binary(max_size=12))
@example(b"<html>\n<head><title>")
@example(TEXT.encode("utf-16-le"))
@example(TEXT.encode("utf-32"))
def test_what_a_source_is_does_not_depend_on_how_much_was_written(data: bytes) -> None:
    final = find_foreign(data, at_end=True)
    # A source is read once its first line that is not blank is complete.
    first = re.match(rb"\s*+[^\r\n]*+[\r\n]", data)
    for end in range(first.end() if first else len(data), len(data)):
        assert find_foreign(data[:end], at_end=False) in {None, final}


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_without_zeros_is_never_taken_for_wide_characters(text: str) -> None:
    assert "iconv" not in (find_foreign(text.encode(), at_end=True) or "")


JSON = [
    b'{"error":"not authorized","code":401}\n',
    b'[{"S":"M"},{"S":"F"}]\n',
    b'{"S":"M"}\n{"S":"F"}\n',
    b'\xef\xbb\xbf[\r\n  {\r\n    "S" : "M"\r\n  }\r\n]\r\n',
    b'{"a\\"b":1}\n',
]
NO_JSON = [
    b"{\n1\n",
    b"[id],[name]\n1,2\n",
    b'{"a",b\n1,2\n',
    b"{}\n",
    b"[]\n",
    b'"{""a"":1}",b\n1,2\n',
    b"{a:1}\n",
    b"",
    b"\n",
]


@pytest.mark.parametrize("data", JSON)
def test_json_is_no_header_but_may_be_rows(data: bytes) -> None:
    for at_end in (True, False):
        assert "JSON" in (find_json(data, at_end=at_end) or "")
        with pytest.raises(ValueError, match="JSON"):
            find_opening(data, ReadOptions(), at_end=at_end)
    assert find_foreign(data, at_end=True) == ""
    opening = find_opening(data, ReadOptions(header="none", delimiter=b"\t", quote=b""), at_end=True)
    assert opening is not None
    assert opening.schema is not None


@pytest.mark.parametrize("data", NO_JSON)
def test_braces_are_no_json(data: bytes) -> None:
    assert find_json(data, at_end=True) == ""


@pytest.mark.parametrize("data", [*JSON, *NO_JSON])
def test_whether_a_source_is_json_does_not_depend_on_how_much_was_written(data: bytes) -> None:
    first = re.match(rb"(?:\xef\xbb\xbf)?\s*+[^\r\n]*+[\r\n]", data)
    for end in range(first.end() if first else len(data), len(data)):
        assert find_json(data[:end], at_end=False) in {None, find_json(data, at_end=True)}
