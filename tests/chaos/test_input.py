"""Input that cannot be read, vanishes, shrinks or is replaced under ingest: told once, the rest goes on, mended."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.chaos.rows import HEADER, SPLIT_BY, make_rows
from tests.harness.chaos.verifier import differences, expected_content, found_content
from tests.harness.pipeline import Pipeline, Service
from tests.harness.running_brokers import sessions_of

RecordProperty = Callable[[str, object], None]

ROWS = 5_000
ONLY_IN_FULL = pytest.mark.skipif(not extent.MINUTES, reason="only in `make chaos`")


def vanish(_path: Path) -> None:
    """It is moved away already."""


def make_folder(path: Path) -> None:
    path.mkdir()


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


def shrink(path: Path) -> None:
    path.write_bytes(HEADER + make_rows(path.stem, 0, ROWS // 2))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path) -> None:
    path.write_bytes(HEADER + make_rows("other", 0, 2 * ROWS))


# What comes into a file's place, and what is told.
TROUBLES: dict[str, tuple[Callable[[Path], None], str]] = {
    "vanished": (vanish, "No such file or directory"),
    "folder": (make_folder, "Is a directory"),
    "loop": (make_loop, "Too many levels of symbolic links"),
    "shrunk": (shrink, "shrank"),
    "emptied": (empty, "shrank"),
    "replaced": (replace, "changed"),
}


def remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def append(path: Path, source: str) -> None:
    with path.open("ab") as file:
        file.write(make_rows(source, ROWS, ROWS))


@pytest.mark.parametrize("disturbed", ["running", pytest.param("killed meanwhile", marks=ONLY_IN_FULL)])
def test_sources_in_trouble_are_told_once_and_read_on_when_mended_while_others_flow(
    flow: Flow, record_property: RecordProperty, disturbed: str
) -> None:
    pipeline = flow.pipeline
    paths = {name: pipeline.folder / "in" / f"{name}.csv" for name in TROUBLES}
    for name, path in paths.items():
        path.write_bytes(HEADER + make_rows(name, 0, ROWS))
    flow.start_all()
    [ingest] = flow.running["ingest"]
    pipeline.wait_until(
        lambda: {str(path) for path in paths.values()} <= {line["source"] for line in ingest.events("source ended")},
        "each has ended so far",
    )
    # Not where ingest finds them under their new names.
    away = {path: pipeline.folder / f"{name}.away" for name, path in paths.items()}
    for name, path in paths.items():
        path.rename(away[path])
        TROUBLES[name][0](path)
    pipeline.wait_until(
        lambda: len(ingest.events("source cannot be read")) >= len(paths), "each source in trouble is told"
    )
    for _ in range(3):
        flow.wait_for_more()
    told = {line["source"]: line["reason"] for line in ingest.events("source cannot be read")}
    assert len(ingest.events("source cannot be read")) == len(paths)
    for name, path in paths.items():
        assert str(path) in told[str(path)]
        assert TROUBLES[name][1] in told[str(path)]
    if disturbed == "killed meanwhile":
        ingest.kill()
        flow.running["ingest"].remove(ingest)
        ingest = flow.start("ingest")
        pipeline.wait_for_event(ingest, "ready")
        flow.wait_for_more()
    for name, path in paths.items():
        remove(path)
        away[path].rename(path)
        append(path, name)
    if disturbed == "running":
        took_s = pipeline.wait_until(
            lambda: len(ingest.events("source can be read again")) >= len(paths), "each source is read again"
        )
        record_property("seconds from a source mended to read again", took_s)
        assert len(ingest.events("source can be read again")) == len(ingest.events("source cannot be read"))
    assert len(ingest.events("ready")) == 1
    flow.feeder.end()
    flow.feeder.inputs |= paths
    flow.finish()


def failures(ingest: Service) -> list[str]:
    """What it told of its input; a broker just started may have kept it from being ready before."""
    return [line["reason"] for line in ingest.events("not ready") if line["reason"].startswith("InputError: ")]


@pytest.mark.parametrize("given", ["folder", pytest.param("file", marks=ONLY_IN_FULL)])
def test_ingest_waits_for_an_input_that_is_gone_for_a_while(
    pipeline: Pipeline, record_property: RecordProperty, given: str
) -> None:
    folder = pipeline.folder / "in"
    folder.mkdir()
    inputs = {name: folder / f"{name}.csv" for name in (("a", "b", "c") if given == "folder" else ("a",))}
    for name, path in inputs.items():
        path.write_bytes(HEADER + make_rows(name, 0, ROWS))
    vanishing = folder if given == "folder" else inputs["a"]
    ingest = pipeline.start("ingest", vanishing, SETTLE_S="0.2")
    pipeline.start("split", SPLIT_BY=SPLIT_BY)
    pipeline.start("sink")
    pipeline.wait_until(lambda: len(ingest.events("source ended")) == len(inputs), "all is read")
    away = vanishing.with_suffix(".away")
    vanishing.rename(away)
    pipeline.wait_until(lambda: failures(ingest), "ingest tells that its input is gone")
    group = f"{pipeline.prefix}ingest"
    attempts = sessions_of(group)
    pipeline.wait_until(lambda: sessions_of(group) >= attempts + 2, "it tries again")
    assert failures(ingest) == [f"InputError: INPUT {vanishing}: there is no such file or folder"]
    assert len(ingest.events("ready")) == 1
    away.rename(vanishing)
    for name, path in inputs.items():
        append(path, name)
    took_s = pipeline.wait_until(lambda: len(ingest.events("ready")) == 2, "it is ready again")
    record_property("seconds from an input back to ready", took_s)
    expected = expected_content(inputs)
    pipeline.wait_until(lambda: not differences(found_content(pipeline.output), expected), "every row is written once")
    assert len(failures(ingest)) == 1
