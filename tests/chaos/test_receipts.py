"""Kill -9 at random instants: a receipt speaks of rows that are safe, of all of them, and of no others."""

from collections.abc import Callable

import pytest

from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.feeder import Rhythm
from tests.harness.chaos.receipts import ReceiptWatch

RecordProperty = Callable[[str, object], None]

KILLS = extent.count(8, 200)
# A source ends once it rests: four of them each second.
_RHYTHM = Rhythm(fed_s=2.0, rest_s=8.0)


@pytest.mark.timeout(180 + 8 * KILLS)
@pytest.mark.parametrize("settings", [{}, {"ROLL_ROWS": "500", "COMPRESS": "gzip"}], ids=["open", "rolled"])
def test_receipts_are_right_and_never_early_whatever_is_killed(
    make_flow: MakeFlow, record_property: RecordProperty, settings: dict[str, str]
) -> None:
    random = extent.random_for(f"receipts {sorted(settings)}")
    flow = make_flow(sources=40, rows_per_s=2_000, rhythm=_RHYTHM, CHECKPOINT_INTERVAL_MS="200", **settings)
    watch = ReceiptWatch(flow.pipeline.output, flow.feeder.inputs)
    try:
        flow.start_all(split=2, sink=2)
        for _ in range(KILLS):
            flow.pause(random.uniform(0, 2.0))
            service = random.choice(flow.every())
            flow.kill(service)
            flow.start(service.name)
        flow.finish()
    finally:
        watch.end()
    assert not watch.wrong, "\n".join(watch.wrong[:10])
    assert watch.checked >= KILLS
    record_property("kills, with receipts", KILLS)
    record_property("receipts that were right at the instant they appeared", watch.checked)
