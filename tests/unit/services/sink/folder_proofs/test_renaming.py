"""Files of the whole folder: in one step, and taken back whoever is in the middle of writing them."""

from contextlib import suppress
from pathlib import Path

import pytest

from common.errors import ServiceError
from services.sink.disk.errors import DiskError
from services.sink.folder_proofs.renaming import create, is_there, publish, take_back, write, write_in_place
from tests.harness.system_calls import at_call

NAMES = ["manifest-sha256.txt", "datapackage.json", "_SUCCESS"]
MOMENT_NS = 1_700_000_000_123_456_789


def write_and_publish(root: Path) -> bool:
    create(root, NAMES)
    is_written = [write(root, name, [b"a", b"b"], MOMENT_NS) for name in NAMES]
    return all(is_written) and publish(root, NAMES)


def test_a_file_speaks_of_its_moment_and_another_takes_its_place(tmp_path: Path) -> None:
    assert write_and_publish(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(NAMES, b"ab")
    assert {path.stat().st_mtime_ns for path in tmp_path.iterdir()} == {MOMENT_NS}
    create(tmp_path, NAMES[:1])
    assert write_in_place(tmp_path, NAMES[0], b"c", MOMENT_NS + 1)
    assert (tmp_path / NAMES[0]).read_bytes() == b"c"
    assert is_there(tmp_path, NAMES[0])
    take_back(tmp_path, NAMES)
    assert not is_there(tmp_path, NAMES[0])
    assert list(tmp_path.iterdir()) == []
    take_back(tmp_path, NAMES)


@pytest.mark.parametrize("number", range(1, 20))
def test_what_is_taken_back_is_gone_wherever_its_writer_is(tmp_path: Path, number: int) -> None:
    # Not before it is created: the writer reads the ledgers after that, and sees that nothing is final.
    create(tmp_path, NAMES)

    def finish() -> bool:
        is_written = [write(tmp_path, name, [b"a"], MOMENT_NS) for name in NAMES]
        return all(is_written) and publish(tmp_path, NAMES)

    with at_call(number, lambda: take_back(tmp_path, NAMES)) as has_happened:
        is_there_now = finish()
    assert is_there_now or has_happened[0]
    if has_happened[0]:
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", range(1, 15))
def test_what_is_taken_back_is_gone_if_its_writer_comes_in_between(tmp_path: Path, number: int) -> None:
    create(tmp_path, NAMES)
    for name in NAMES:
        write(tmp_path, name, [b"a"], MOMENT_NS)
    with at_call(number, lambda: publish(tmp_path, NAMES)) as has_happened:
        take_back(tmp_path, NAMES)
    if has_happened[0]:
        assert list(tmp_path.iterdir()) == []


class Crashed(BaseException):
    """The process has crashed."""


@pytest.mark.parametrize("number", range(1, 24))
def test_a_crash_leaves_each_file_whole_or_as_it_was(tmp_path: Path, number: int) -> None:
    (tmp_path / NAMES[0]).write_bytes(b"before")

    def crash() -> None:
        raise Crashed

    with suppress(Crashed), at_call(number, crash):
        write_and_publish(tmp_path)
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.endswith(".tmp")}
    assert found.pop(NAMES[0]) in (b"before", b"ab")
    assert set(found.values()) <= {b"ab"}
    # And whatever it left, the next one writes all.
    assert write_and_publish(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == dict.fromkeys(NAMES, b"ab")


def test_a_link_is_not_followed_and_a_disk_that_fails_is_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"theirs")
    out = tmp_path / "out"
    out.mkdir()
    (out / "_SUCCESS.tmp").symlink_to(elsewhere)
    with pytest.raises(ServiceError, match="is a symbolic link"):
        create(out, ["_SUCCESS"])
    assert elsewhere.read_bytes() == b"theirs"
    (out / "datapackage.json").mkdir()
    create(out, ["datapackage.json"])
    with pytest.raises(DiskError, match=r"datapackage\.json"):
        publish(out, ["datapackage.json"])
