from common.process.repeated_refusals import pause_s


def test_each_pause_is_longer_up_to_a_minute() -> None:
    age_s = 1.5
    pauses = []
    for _ in range(9):
        pauses.append(pause_s(age_s, lived_s=1.5))
        # Docker starts it again, and it is refused again.
        age_s += pauses[-1] + 1.6
    assert pauses[:2] == [0, 0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60
    assert sum(pauses) > 150


def test_a_first_start_ends_at_once() -> None:
    assert pause_s(2.0, lived_s=2.0) == 0


def test_a_service_that_was_at_work_ends_at_once() -> None:
    assert pause_s(86_400.0, lived_s=3_600.0) == 0
