"""The id of OUTPUT_DIR: the same for all sinks in it, whatever dies while it is written."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigurationError
from services.sink.disk.folder import check_pipeline, decode_folder, encode_folder, folder_id, read_folder_id


def test_a_folder_keeps_its_id_under_every_name_and_no_other_has_it(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "a")
    first = folder_id(tmp_path / "a")
    assert folder_id(tmp_path / "a") == folder_id(tmp_path / "link") == first
    assert folder_id(tmp_path / "b") != first


@pytest.mark.parametrize("left", [b"", b"0123", b"0123456789abcdef0123456789abcdef 1", b"x" * 33, b"0" * 32 + b" 1\n"])
def test_what_a_sink_that_died_has_left_is_no_id(tmp_path: Path, left: bytes) -> None:
    path = tmp_path / ".nacre" / "folder.lock"
    path.parent.mkdir()
    path.write_bytes(left)
    found = folder_id(tmp_path)
    assert path.read_text() == f"{found} {path.stat().st_ino}\n"
    assert folder_id(tmp_path) == found


def test_a_copy_is_another_folder_and_one_that_was_moved_is_the_same(tmp_path: Path) -> None:
    first = folder_id(tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert folder_id(tmp_path / "copy") != first
    (tmp_path / "out").rename(tmp_path / "moved")
    assert folder_id(tmp_path / "moved") == first


def test_who_only_reads_the_id_gives_none_to_a_folder_or_a_copy_that_has_none(tmp_path: Path) -> None:
    found = folder_id(tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    (tmp_path / "empty").mkdir()
    assert read_folder_id(tmp_path / "out") == found
    copied = (tmp_path / "copy/.nacre/folder.lock").read_bytes()
    assert read_folder_id(tmp_path / "copy") == read_folder_id(tmp_path / "empty") == ""
    assert (tmp_path / "copy/.nacre/folder.lock").read_bytes() == copied
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_folder_of_another_pipeline_is_refused(tmp_path: Path) -> None:
    check_pipeline(tmp_path, "nacre.")
    (tmp_path / ".nacre").mkdir()
    for name in ("folder.lock", "nacre.categorized-5.ledger", "nacre.rejected-0.ledger", "nacre.rejected-0.lock"):
        (tmp_path / ".nacre" / name).touch()
    check_pipeline(tmp_path, "nacre.")
    # One prefix may begin with another.
    for prefix in ("", "nacre", "nacre.rejected", "other."):
        with pytest.raises(ConfigurationError, match=r"holds the files of TOPIC_PREFIX=nacre\., this is TOPIC_PREFIX="):
            check_pipeline(tmp_path, prefix)


def test_sinks_that_start_at_once_agree(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(folder_id, [tmp_path] * 64))) == 1


@given(st.text() | st.sampled_from(['{"version": 2, "folder": "a"}', '{"folder": "a"}', "[]", "1", "null"]))
def test_other_metadata_than_a_folder_s_names_none(metadata: str) -> None:
    assert decode_folder(metadata) == ""
    assert decode_folder(encode_folder("0f")) == "0f"
