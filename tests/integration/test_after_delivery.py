"""AFTER_DELIVERY: a file leaves INPUT once its receipt is there, and not before."""

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.pipeline import PROJECT, Pipeline, Service

HEADER = b"Sex,Number\n"
NOBODY = 65534


def rows(name: str, begin: int, end: int) -> bytes:
    return b"".join(b"%s,%s-%d\n" % (b"MFI"[n % 3 :][:1], name.encode(), n) for n in range(begin, end))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def follow(pipeline: Pipeline, source: Path | str, after: str, **settings: str) -> Service:
    """All three; returns ingest."""
    pipeline.start("split", SPLIT_BY="*,Sex")
    pipeline.start("sink")
    return pipeline.start("ingest", source, **{"SETTLE_S": "0.2", "AFTER_DELIVERY": after, **settings})


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def wait_for_files(pipeline: Pipeline, folder: Path, expected: dict[str, bytes]) -> None:
    """Wait until the folder has these files and no others."""

    def is_there() -> bool:
        try:
            return files(folder) == expected
        except FileNotFoundError:
            return False

    pipeline.wait_until(is_there, f"{folder} has {', '.join(expected) or 'no file'}", 60)


def all_rows(pipeline: Pipeline) -> list[bytes]:
    return sorted(pipeline.output_files()["all.csv"].splitlines(keepends=True)[1:])


@pytest.mark.parametrize("order", ["source", "none"])
@pytest.mark.parametrize("action", ["move", "delete"])
def test_files_leave_once_they_are_delivered_and_keep_their_folders(
    pipeline: Pipeline, folder: Path, action: str, order: str
) -> None:
    (folder / "deeper").mkdir()
    given = {
        "a.csv": HEADER + rows("a", 0, 500),
        "deeper/a.csv": HEADER + rows("b", 0, 10) + b"too,many,fields\n",
        "c.csv.gz": gzip.compress(HEADER + rows("c", 0, 100)),
        "empty.csv": b"",
        "header.csv": HEADER,
    }
    for name, content in given.items():
        (folder / name).write_bytes(content)
    after = f"move:{folder}/done" if action == "move" else action
    ingest = follow(pipeline, folder, after, ORDER=order, ROW_FORMAT="json" if order == "none" else "csv")
    wait_for_files(pipeline, folder, {f"done/{name}": each for name, each in given.items()} if action == "move" else {})
    assert all_rows(pipeline) == sorted(
        (rows("a", 0, 500) + rows("b", 0, 10) + rows("c", 0, 100)).splitlines(keepends=True)
    )
    # Each departure is logged once it is recorded, and nothing is logged about files that are gone.
    event = "source moved" if action == "move" else "source deleted"
    pipeline.wait_until(lambda: len(ingest.events(event)) == len(given), "all are told")
    # A new file has the name of one that has left.
    (folder / "a.csv").write_bytes(HEADER + rows("new", 0, 3))
    pipeline.wait_until(lambda: len(ingest.events(event)) == len(given) + 1, "the new one has left")
    assert len(all_rows(pipeline)) == 613
    if action == "move":
        assert files(folder)["done/a~2.csv"] == HEADER + rows("new", 0, 3)
    assert not ingest.events("source cannot be read") + ingest.events("source was renamed")


def test_a_file_that_grows_just_before_it_leaves_is_put_back_and_read_on(pipeline: Pipeline, folder: Path) -> None:
    path = folder / "a.csv"
    path.write_bytes(HEADER + rows("a", 0, 5))
    # A writer has it open, and writes once more when it has its hidden name.
    with path.open("ab", buffering=0) as writer:
        ingest = follow(pipeline, folder, f"move:{folder}/done", SETTLE_S="2")
        pipeline.wait_until(lambda: any(name.startswith(".nacre-") for name in files(folder)), "it is aside")
        writer.write(rows("a", 5, 9))
        # Meanwhile another takes its name.
        path.write_bytes(HEADER + rows("b", 0, 7))
    # It was put back with a number.
    wait_for_files(pipeline, folder, {"done/a.csv": HEADER + rows("b", 0, 7), "done/a~2.csv": HEADER + rows("a", 0, 9)})
    assert len(ingest.events("file is put back")) == 1
    assert all_rows(pipeline) == sorted((rows("a", 0, 9) + rows("b", 0, 7)).splitlines(keepends=True))


def finite(pipeline: Pipeline, source: Path, after: str) -> tuple[Service, Service, Service]:
    return (
        pipeline.start("ingest", "--once", source, AFTER_DELIVERY=after, SETTLE_S="0.2"),
        pipeline.start("split", SPLIT_BY="*", EXIT_WHEN_DONE="true"),
        pipeline.start("sink", EXIT_WHEN_DONE="true"),
    )


@pytest.mark.parametrize("action", ["move", "delete"])
def test_a_finite_run_ends_when_its_files_have_left(pipeline: Pipeline, folder: Path, action: str) -> None:
    after = f"move:{folder.parent}/done" if action == "move" else action
    for turn in range(2):
        given = {f"{number}.csv": HEADER + rows(f"{turn}-{number}", 0, 50) for number in range(8)}
        for name, content in given.items():
            (folder / name).write_bytes(content)
        pipeline.finish(*finite(pipeline, folder, after))
        assert files(folder) == {}
        assert len(all_rows(pipeline)) == 400 * (turn + 1)
    if action == "move":
        done = files(folder.parent / "done")
        assert done.keys() == {name for number in range(8) for name in (f"{number}.csv", f"{number}~2.csv")}
    # With nothing new, and with a file that is gone.
    pipeline.finish(*finite(pipeline, folder, after))
    pipeline.finish(pipeline.start("ingest", "--once", folder / "0.csv", AFTER_DELIVERY=after))
    typo = pipeline.start("ingest", "--once", folder / "none.csv", AFTER_DELIVERY=after)
    assert typo.wait_for_exit() == 78


def test_a_finite_run_waits_for_receipts_and_says_so(pipeline: Pipeline, folder: Path) -> None:
    (folder / "a.csv").write_bytes(HEADER + rows("a", 0, 50))
    ingest = pipeline.start("ingest", "--once", folder, AFTER_DELIVERY="delete")
    pipeline.wait_for_event(ingest, "not done yet")
    [line] = ingest.events("not done yet")
    assert line["reason"].endswith(f": 1 of them, the first is {folder}/a.csv")
    assert ingest.exit_code is None
    assert files(folder).keys() == {"a.csv"}
    pipeline.finish(*finite(pipeline, folder, "delete")[1:], ingest)
    assert files(folder) == {}


def test_what_stays_is_named_and_keeps_no_finite_run_waiting(pipeline: Pipeline, folder: Path) -> None:
    (folder / "rejected.csv").write_bytes(b"S,a\nM\nF\n")
    (folder.parent / "elsewhere").write_bytes(HEADER + rows("l", 0, 5))
    (folder / "link.csv").symlink_to(folder.parent / "elsewhere")
    (folder / "hard.csv").write_bytes(HEADER + rows("h", 0, 5))
    os.link(folder / "hard.csv", folder / "second")
    (folder / "a.csv").write_bytes(HEADER + rows("a", 0, 5))
    ingest, *others = finite(pipeline, folder, "delete")
    assert ingest.wait_for_exit() == 65
    pipeline.finish(*others)
    assert files(folder).keys() == {"rejected.csv", "link.csv", "hard.csv", "second"}
    kept = {
        line["source"].rpartition("/")[2]: line["reason"] for line in ingest.events("file is kept after its delivery")
    }
    assert kept.keys() == {"rejected.csv", "link.csv", "hard.csv"}
    assert kept["link.csv"] == "it is a symbolic link"


@pytest.fixture
def closed(folder: Path) -> Iterator[list[str]]:
    """Make the folder read-only, for root by a mount; return what a command has to begin with."""
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield []
        folder.chmod(0o700)
        return
    mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    command = ["unshare", "--mount", "sh", "-c", mount, str(folder)]
    if subprocess.run([*command, "true"], check=False, capture_output=True).returncode:
        pytest.skip("root may not mount here, and writes everywhere")
    yield command


def test_a_folder_that_may_not_be_written_to_is_refused_by_all_that_could_know(
    closed: list[str], folder: Path, pipeline: Pipeline
) -> None:
    (folder.parent / "a.csv").write_bytes(HEADER + rows("a", 0, 5))
    for module, code in (("services.ingest", 78), ("ops validate --no-broker", 1)):
        done = subprocess.run(
            [*closed, sys.executable, "-m", *module.split(), str(folder)],
            cwd=PROJECT,
            env={**pipeline.environment, "AFTER_DELIVERY": "delete", "SPLIT_BY": "*"},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == code, done
        assert f"AFTER_DELIVERY=delete: {folder} may not be written to" in done.stdout + done.stderr


PLACES = [
    f"{point}:{moment}:1"
    for point in ("aside", "aside_rename", "sight", "targets", "depart", "depart_rename", "names_durable", "departed")
    for moment in ("before", "after")
]


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("action", ["move", "delete"])
def test_an_ingest_that_dies_at_each_step_of_a_departure_loses_and_repeats_nothing(
    pipeline: Pipeline, folder: Path, action: str
) -> None:
    pipeline.start("split", SPLIT_BY="*")
    pipeline.start("sink")
    crash_log = pipeline.folder / "crashes"
    settings = {"SETTLE_S": "0.2", "AFTER_DELIVERY": f"move:{folder}/done" if action == "move" else action}
    expected, places = {}, [each for each in PLACES if action == "move" or not each.startswith(("targets", "depart_r"))]
    for number, place in enumerate(places):
        content = HEADER + rows(str(number), 0, 20)
        # Each time another file has the name.
        (folder / "a.csv").write_bytes(content)
        expected[f"done/a~{number + 1}.csv" if number else "done/a.csv"] = content
        ingest = pipeline.start_under(
            "tests.harness.chaos.crashing",
            "ingest",
            INPUT=str(folder),
            CRASH_AT=place,
            CRASH_LOG=str(crash_log),
            **settings,
        )
        assert ingest.wait_for_exit(60) == -signal.SIGKILL, f"{place}: {ingest.log()}"
        assert crash_log.read_text().splitlines()[number:] == [place]
        ingest = pipeline.start("ingest", folder, **settings)
        pipeline.wait_for_event(ingest, "ready")
        wait_for_files(pipeline, folder, expected if action == "move" else {})
        assert ingest.stop()[0] == 0
    assert len(all_rows(pipeline)) == 20 * len(places) == len(set(all_rows(pipeline)))
