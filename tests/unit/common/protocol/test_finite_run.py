"""Whether ingest has ended, judged by the topic `progress`."""

from typing import Literal

import pytest
from msgspec.structs import replace

from common.protocol.finite_run import describe_run, explain_open
from common.protocol.progress import Progress, Run, decode_progress, encode_progress, encode_run
from common.rows.tally import Tally

State = Literal["follows", "reads", "done"]
ENDED, BEGUN = Progress("/a", ended=True, tally=Tally(3)), Progress("/b")


def runs(*states: State, round_: str = "1") -> dict[int, Run]:
    return {number: Run(number, round_, state) for number, state in enumerate(states)}


def sources(*known: Progress) -> dict[str, Progress]:
    return {progress.source: progress for progress in known}


def test_a_run_and_a_source_are_told_apart() -> None:
    run = Run(3, "abc", "done", 1, "cannot read it")
    assert decode_progress(encode_run(run)) == run
    assert decode_progress(encode_progress(ENDED)) == ENDED
    with pytest.raises(ValueError, match="of format 3, and this version reads format 2"):
        decode_progress(encode_run(run).replace(b'"version":2', b'"version":3'))


def test_why_a_run_left_something_may_name_what_is_not_unicode() -> None:
    run = Run(0, "1", "done", 1, "cannot read caf\udce9.csv: gone")
    said = decode_progress(encode_run(run))
    assert isinstance(said, Run)
    assert said.why == r"cannot read caf\xe9.csv: gone"


@pytest.mark.parametrize(
    ("known", "said"),
    [
        # Nothing was read, and all partitions say so.
        ([], runs("done", "done")),
        # Nothing more is read of a source that a finished run could not read.
        ([ENDED, BEGUN], runs("done", "done")),
        ([Progress("stdin-1", given_up=True)], {}),
        ([ENDED], {}),
        ([ENDED], runs("follows", "follows")),
        # A finite run beside an ingest that stays.
        ([ENDED], runs("follows", "done")),
    ],
)
def test_ingest_has_ended(known: list[Progress], said: dict[int, Run]) -> None:
    assert not explain_open(sources(*known), said, 2)


@pytest.mark.parametrize(
    ("known", "said", "why"),
    [
        ([], {}, "ingest has not begun"),
        ([], runs("follows", "follows"), "found no source yet"),
        ([ENDED, BEGUN], {}, "1 source has not ended: /b"),
        ([ENDED, BEGUN], runs("follows", "follows"), "1 source has not ended: /b"),
        ([ENDED, BEGUN], runs("follows", "done"), "1 source has not ended: /b"),
        ([ENDED], runs("reads", "done"), "has not ended"),
        # Another replica has yet to begin, or has begun after this one.
        ([ENDED], runs("done"), "not all of its partitions"),
        ([ENDED], runs("done", "done") | {1: Run(1, "2", "done")}, "not all of its partitions"),
        # Standard input records its own end.
        ([Progress("stdin-1")], runs("done", "done"), "1 source has not ended: stdin-1"),
    ],
)
def test_ingest_may_have_more_to_tell(known: list[Progress], said: dict[int, Run], why: str) -> None:
    assert why in (explain_open(sources(*known), said, 2) or "nothing is open")


def test_what_is_told_of_a_run_has_what_was_not_read() -> None:
    assert describe_run(sources(ENDED), runs("done")) == {"sources": 1, "rows": 3, "rejected_by_ingest": 0}
    said = describe_run(sources(ENDED, BEGUN), {0: Run(0, "1", "done", 1, "cannot read /b")})
    assert (said["unread"], said["first_unread"]) == (1, "cannot read /b")


def test_sources_that_are_skipped_whole_are_not_read_unless_others_have_rows() -> None:
    skipped = {0: Run(0, "1", "done"), 1: Run(1, "1", "done", why="/a: SKIP_LINES", skipped=1)}
    said = describe_run(sources(ENDED), skipped)
    assert (said["unread"], said["first_unread"]) == (1, "/a: SKIP_LINES")
    assert "unread" not in describe_run(sources(ENDED, replace(ENDED, source="/b")), skipped)
