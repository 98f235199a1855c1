"""The verdict on a stage, case by case, and what holds in every case."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ops.status.verdict import PATIENCE_S, Verdict, Work, judge, worst

OK, BEHIND, STALLED, STOPPED = Verdict
LONG = PATIENCE_S + 0.1
WORK = st.builds(
    Work,
    waits=st.booleans(),
    replicas=st.integers(0, 3),
    still_s=st.just(0.0) | st.floats(0, 20),
    eta_s=st.none() | st.floats(0, 1e9),
)


@pytest.mark.parametrize(
    ("work", "verdict"),
    [
        # Nothing waits: whether replicas are there, and when anything last went on, is all the same.
        (Work(waits=False, replicas=0), OK),
        (Work(waits=False, replicas=2, still_s=LONG), OK),
        # Something waits, and nobody is there for it, however short that is.
        (Work(waits=True, replicas=0), STOPPED),
        (Work(waits=True, replicas=0, still_s=LONG, eta_s=1), STOPPED),
        # It goes on, and keeps up.
        (Work(waits=True, replicas=1, eta_s=0.1), OK),
        (Work(waits=True, replicas=1, eta_s=PATIENCE_S), OK),
        # It goes on, and does not keep up.
        (Work(waits=True, replicas=1, eta_s=LONG), BEHIND),
        (Work(waits=True, replicas=1, still_s=1, eta_s=LONG), BEHIND),
        # It is too early to tell: this is the first look, or nothing has gone on since a moment ago.
        (Work(waits=True, replicas=1), OK),
        (Work(waits=True, replicas=1, still_s=PATIENCE_S - 0.1), OK),
        # A part of it stands still, whatever the others do.
        (Work(waits=True, replicas=1, still_s=PATIENCE_S), STALLED),
        (Work(waits=True, replicas=3, still_s=LONG, eta_s=0.1), STALLED),
    ],
)
def test_cases(work: Work, verdict: Verdict) -> None:
    assert judge(work) is verdict


@given(WORK)
def test_what_has_nothing_to_do_is_ok_and_what_has_needs_a_replica(work: Work) -> None:
    verdict = judge(work)
    assert verdict is OK or work.waits
    assert (verdict is STOPPED) == (work.waits and not work.replicas)
    if not verdict.goes_on:
        assert work.waits


@given(WORK, st.floats(0, 20))
def test_a_longer_standstill_is_never_a_better_verdict(work: Work, more_s: float) -> None:
    later = Work(work.waits, work.replicas, work.still_s + more_s, work.eta_s)
    assert worst([judge(work), judge(later)]) is judge(later)


@given(st.lists(st.sampled_from(Verdict)))
def test_a_pipeline_stands_as_its_worst_stage_does(verdicts: list[Verdict]) -> None:
    found = worst(verdicts)
    assert found in verdicts or (found is OK and not verdicts)
    assert found.goes_on == all(verdict.goes_on for verdict in verdicts)
