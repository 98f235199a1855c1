from common.aiokafka_internals.request_pace import RequestPace


def test_some_requests_in_a_row_are_free_and_the_next_ones_wait() -> None:
    pace = RequestPace()
    waited = []
    for now in range(8):
        waited.append(pace.pause_s(100 + now / 100))
        pace.count(100 + now / 100, failed=False)
    assert waited == [0, 0, 0, 0, 0, 0.1, 0.1, 0.1]


def test_a_request_that_fails_waits_longer_each_time_up_to_a_limit() -> None:
    pace = RequestPace()
    waited = []
    for now in range(5):
        waited.append(pace.pause_s(100 + now / 100))
        pace.count(100 + now / 100, failed=True)
    assert waited == [0, 0.1, 0.2, 0.25, 0.25]


def test_a_client_that_has_rested_waits_for_nothing() -> None:
    pace = RequestPace()
    for _ in range(8):
        pace.count(100.0, failed=True)
    assert pace.pause_s(100.5) > 0
    assert pace.pause_s(101.5) == 0
