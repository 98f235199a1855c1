"""Kill -9 at random instants, over all services and replicas, with work pending at each."""

from collections.abc import Callable

import pytest

from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.chaos.written import Finished

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


ROLLED_KILLS = extent.count(8, 150)


@pytest.mark.timeout(120 + 10 * ROLLED_KILLS)
def test_kills_at_random_instants_change_no_finished_file_and_leave_each_row_in_one(
    make_flow: MakeFlow, record_property: RecordProperty
) -> None:
    random = extent.random_for("kills, finished files")
    # So that there are files to finish at any instant, and as many checkpoints behind which they are.
    flow = make_flow(ROLL_ROWS="2000", ROLL_AGE_S="1", COMPRESS="gzip", CHECKPOINT_INTERVAL_MS="200")
    finished = Finished(flow.pipeline.output)
    flow.start_all(split=2, sink=2)
    for _ in range(ROLLED_KILLS):
        flow.pipeline.wait_until(finished.look, "more files are finished", 60)
        flow.pause(random.uniform(0, 0.5))
        # Each second one is a sink: it alone has these files.
        service = random.choice([*flow.every(), *flow.running["sink"], *flow.running["sink"]])
        flow.kill(service)
        # As it left them, before anybody else is at them.
        finished.look()
        flow.start(service.name)
    account = flow.finish()
    assert not finished.changes()
    record_property("kills, with finished files", ROLLED_KILLS)
    record_property("finished files that were seen, none changed", len(finished.seen))
    record_property("rows in finished files", account.rows)
