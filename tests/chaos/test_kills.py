"""Kill -9 at random instants, over all services and replicas, with work pending at each."""

from collections.abc import Callable

import pytest

from tests.chaos import extent
from tests.chaos.flow import Flow

RecordProperty = Callable[[str, object], None]


@pytest.mark.timeout(90 + 6 * extent.count(10, 200))
def test_kills_at_random_instants_leave_the_output_as_if_undisturbed(
    flow: Flow, record_property: RecordProperty
) -> None:
    random = extent.random_for("kills")
    flow.start_all(split=2, sink=2)
    kills = extent.count(10, 200)
    for _ in range(kills):
        flow.pause(random.uniform(0, 1.0))
        service = random.choice(flow.every())
        flow.kill(service)
        flow.start(service.name)
    account = flow.finish()
    record_property("kills", kills)
    record_property("rows, killed at random", account.rows)
    record_property("half lines seen at a page's edge, ms", 1000 * account.reader.longest_page_edge_s)
