"""`nacre verify` beside services that work, are killed and start again: it never tells of what is not there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.pipeline import PROJECT, Pipeline

SPLIT_BY = "*,Sex,Rings:int"
SOURCES = 6
PIECES = 4
ROWS = 5_000
ROLLED = {"ROLL_ROWS": "700", "COMPRESS": "gzip"}


def begin_verify(pipeline: Pipeline, *arguments: str | Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ops", "verify", pipeline.output, *arguments],
        cwd=PROJECT,
        # Without a broker: it needs none.
        env={**os.environ, "SPLIT_BY": SPLIT_BY, "MAX_REJECTED": "100%"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def verify(pipeline: Pipeline, *arguments: str | Path) -> tuple[int, str]:
    """Exit code, and what it says."""
    process = begin_verify(pipeline, *arguments)
    text, _ = process.communicate(timeout=120)
    return process.returncode, text


def rows(source: int, piece: int) -> bytes:
    """A piece of a source, with rows that are rejected for one split, or for all."""
    numbers = range(piece * ROWS, (piece + 1) * ROWS)
    good = b"".join(b"%s,%d,%d-%d\n" % ((b"M", b"F", b"I")[n % 3], n % 9, source, n) for n in numbers)
    return good + b"M,none,odd\ntoo,many,columns,here\n"


def append(folder: Path, piece: int) -> None:
    for source in range(SOURCES):
        with (folder / f"{source}.csv").open("ab") as file:
            file.write(rows(source, piece) if piece else b"Sex,Rings,Text\n" + rows(source, 0))


@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, ROLLED], ids=["open", "rolled"])
def test_beside_sinks_that_work_and_die_it_tells_of_nothing_but_what_is_not_there_yet(
    pipeline: Pipeline, tmp_path: Path, settings: dict[str, str]
) -> None:
    given = tmp_path / "in"
    given.mkdir()
    sinks = [pipeline.start("sink", **settings) for _ in range(2)]
    split = pipeline.start("split", SPLIT_BY=SPLIT_BY, MAX_REJECTED="100%")
    ingest = pipeline.start("ingest", given, MAX_REJECTED="100%")
    for sink in sinks:
        pipeline.wait_for_event(sink, "ready")
    calls: list[tuple[str | Path, ...]] = [("--quick",), (), ("--source", given)]
    told: list[tuple[int, str]] = []
    for piece in range(PIECES):
        append(given, piece)
        told.append(verify(pipeline, *calls[piece % len(calls)]))
        if piece % 3 == 1:
            sinks.pop(0).kill()
            # The first reader closes the ledgers that the dead sink left open. The second has to know all the same.
            told += [verify(pipeline), verify(pipeline)]
            sinks.append(pipeline.start("sink", **settings))
    with begin_verify(pipeline, "--watch", "--source", given) as watching:
        while watching.poll() is None:
            told.append(verify(pipeline, *calls[len(told) % len(calls)]))
        text, _ = watching.communicate()
    assert [each for each in told if each[0] not in {0, 75}] == []
    assert watching.returncode == 0
    assert text.splitlines()[-1] == "6 delivered, 0 under way, 0 stuck"
    for service in (ingest, split, *sinks):
        assert service.stop()[0] == 0
    for call in calls:
        code, text = verify(pipeline, *call)
        assert code == 0, text
    code, text = verify(pipeline, "--source", given)
    assert text.splitlines()[-1].startswith("all is well: ")
    assert f"{SOURCES * PIECES * (3 * ROWS + 4):,} rows" in text


def test_what_is_changed_by_hand_is_named_and_what_is_taken_away_is_counted(pipeline: Pipeline, tmp_path: Path) -> None:
    given = tmp_path / "in"
    given.mkdir()
    (given / "a.csv").write_bytes(b"Sex,Rings\nM,1\nF,2\nM,3\n")
    pipeline.run(given, SPLIT_BY, ROLL_ROWS="1")
    assert verify(pipeline, "--source", given)[0] == 0
    (pipeline.output / "all" / "all-000002.csv").unlink(missing_ok=True)
    part = next(pipeline.output.glob("Sex/M-000002.csv"))
    part.write_bytes(part.read_bytes().replace(b"M,3", b"M,4"))
    code, text = verify(pipeline, "--source", given)
    assert code == 1
    assert f'Sex/M-000002.csv, line 2 is "M,4", where {given}/a.csv, line 4 has "M,3"' in text
    assert verify(pipeline, "--quick")[0] == 0
    part.unlink()
    code, text = verify(pipeline)
    assert code == 0
    assert "files taken" in text
