"""Rates of the benchmarks: rows without starts, and nothing said where there is only noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.rates import cost_of, is_lost_in_noise, rates_of
from benchmarks.spending import Spent


def spent(took_s: float, cpu_s: float = 0.0, broker_s: float = 0.0) -> Spent:
    return Spent(took_s, cpu_s, broker_s, 0.0)


@given(
    start_s=st.floats(0.01, 10),
    rows_per_s=st.floats(1e3, 1e6),
    own_s=st.floats(0, 1e-6),
    broker_s=st.floats(0, 1e-6),
)
def test_what_a_start_takes_does_not_count(start_s: float, rows_per_s: float, own_s: float, broker_s: float) -> None:
    found = {
        rows: [spent(start_s + rows / rows_per_s, start_s + rows * own_s, rows * broker_s)]
        for rows in (1_000, 1_000_000, 6_000_000)
    }
    assert rates_of(found) == [pytest.approx(rows_per_s, rel=1e-6)]
    assert cost_of(found) == pytest.approx((own_s * 1e6, broker_s * 1e6), abs=1e-6)


def test_a_start_that_is_held_up_makes_no_rate_higher() -> None:
    # Two of three starts wait for 0.8 s: by the median, 3.5 million rows would take 1.1 s of two cores, not 2.
    part = [spent(1.55, 1.2), spent(1.47, 1.2), spent(0.64, 1.2)]
    whole = [spent(2.2, 4.0), spent(2.6, 4.0), spent(2.8, 4.0)]
    assert sorted(rates_of({700_000: part, 4_200_000: whole}))[1] == pytest.approx(3_500_000 / (2.6 - 0.64))


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        pytest.param(spent(1.0, 0.1), spent(1.04, 0.2), id="40 ms between the sizes"),
        pytest.param(spent(1.2, 0.1), spent(1.0, 0.2), id="the part took longer"),
        pytest.param(spent(1.0, 1.0), spent(2.0, 3.2), id="2.2 of two cores"),
        pytest.param(spent(1.0, 1.0, 1.0), spent(2.0, 2.2, 2.0), id="2.2 of two cores with the broker"),
    ],
)
def test_what_cannot_be_is_no_figure(part: Spent, whole: Spent) -> None:
    assert is_lost_in_noise({1_000: [part], 1_000_000: [whole]}, cores=2)


def test_a_second_of_two_cores_is_a_figure() -> None:
    assert not is_lost_in_noise({1_000: [spent(1.0, 1.0, 0.5)], 1_000_000: [spent(2.0, 2.2, 1.2)]}, cores=2)
