"""ON_DELIVERY for real: each receipt is posted at least once, whatever dies, and rows never wait for it."""

import json
import time
from pathlib import Path

from tests.harness.chaos.receipts import receipt_path
from tests.harness.hook import Hook
from tests.harness.pipeline import Pipeline

HEADER = b"Sex,Rings\n"


def write(folder: Path, *names: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(HEADER + b"M,1\nF,2\n")
    return [str(path) for path in paths]


def start(pipeline: Pipeline, source: Path, hook: Hook) -> None:
    pipeline.start("ingest", str(source))
    pipeline.start("split", SPLIT_BY="Sex")
    pipeline.start("sink", ON_DELIVERY=hook.url)


def test_each_receipt_is_posted_as_it_is_in_its_file(pipeline: Pipeline, tmp_path: Path) -> None:
    sources = write(tmp_path / "in", "a.csv", "b.csv")
    with Hook() as hook:
        pipeline.run(tmp_path / "in", "Sex", ON_DELIVERY=hook.url)
        # A finite run ends once all are posted.
        assert sorted(hook.sources()) == sources
    for path, _, receipt in hook.posted:
        assert path == "/in?token=hidden"
        assert receipt == json.loads(receipt_path(pipeline.output, receipt["source"]).read_bytes())
    assert len({posted.key for posted in hook.posted}) == 2
    assert all("hidden" not in service.log() for service in pipeline.services)


def test_what_is_not_taken_is_posted_again_in_order_and_rows_do_not_wait(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in"
    first = write(source, "a.csv")
    with Hook() as hook:
        hook.status = 503
        start(pipeline, source, hook)
        sink = pipeline.services[-1]
        pipeline.wait_for_event(sink, "ON_DELIVERY has not taken a receipt yet")
        second = write(source, "b.csv")
        pipeline.wait_until(receipt_path(pipeline.output, Path(second[0])).exists, "the second source is delivered")
        assert set(hook.sources()) == set(first)
        hook.status = 200
        pipeline.wait_until(lambda: hook.sources()[-1:] == second, "the second receipt is posted")
        [told] = sink.events("ON_DELIVERY has not taken a receipt yet")
        assert told["reason"] == "HTTP 503"
        pipeline.wait_for_event(sink, "ON_DELIVERY takes receipts again")
    assert len({posted.key for posted in hook.posted if posted.receipt["source"] == first[0]}) == 1


def test_a_receipt_that_is_refused_for_good_costs_that_receipt_alone(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in"
    with Hook() as hook:
        hook.status = 422
        first = write(source, "a.csv")
        start(pipeline, source, hook)
        sink = pipeline.services[-1]
        pipeline.wait_for_event(sink, "ON_DELIVERY refused a receipt, it is passed over")
        hook.status = 204
        second = write(source, "b.csv")
        pipeline.wait_until(lambda: hook.sources() == first + second, "the second receipt is posted")


def test_a_redirect_is_not_followed_and_the_receipt_is_posted_again(pipeline: Pipeline, tmp_path: Path) -> None:
    with Hook() as hook:
        hook.status = 302
        sources = write(tmp_path / "in", "a.csv")
        start(pipeline, tmp_path / "in", hook)
        pipeline.wait_for_event(pipeline.services[-1], "ON_DELIVERY has not taken a receipt yet")
        hook.status = 200
        pipeline.wait_for_event(pipeline.services[-1], "ON_DELIVERY takes receipts again")
    assert set(hook.sources()) == set(sources)
    assert {posted.path for posted in hook.posted} == {"/in?token=hidden"}


def test_of_two_finite_sinks_the_one_that_posts_waits_for_all_its_receipts(pipeline: Pipeline, tmp_path: Path) -> None:
    with Hook() as hook:
        hook.answers.clear()
        sources = write(tmp_path / "in", *(f"{number}.csv" for number in range(5)))
        pipeline.start("ingest", "--once", str(tmp_path / "in"))
        pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true")
        settings = {"EXIT_WHEN_DONE": "true", "DRAIN_DEADLINE_S": "60", "ON_DELIVERY": hook.url}
        sinks = [pipeline.start("sink", **settings) for _ in range(2)]
        # The one without `rejected` ends, and the group gives its partitions to the other, which still posts.
        pipeline.wait_until(lambda: any(sink.exit_code == 0 for sink in sinks), "one sink has ended")
        hook.answers.set()
        pipeline.finish(*sinks)
    assert set(hook.sources()) == set(sources)


def test_a_sink_that_is_killed_before_the_answer_posts_again_with_the_same_key(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    source = tmp_path / "in"
    with Hook() as hook:
        first = write(source, "a.csv")
        start(pipeline, source, hook)
        pipeline.wait_until(lambda: hook.sources() == first, "the first receipt is posted")
        posted = pipeline.output / ".nacre" / "posted.json"
        pipeline.wait_until(lambda: json.loads(posted.read_bytes())["offset"] > 0, "and that is noted")
        hook.answers.clear()
        second = write(source, "b.csv")
        pipeline.wait_until(lambda: hook.sources() == first + second, "the second receipt is posted")
        pipeline.services[-1].kill()
        hook.answers.set()
        pipeline.start("sink", ON_DELIVERY=hook.url)
        pipeline.wait_until(lambda: hook.sources()[2:].count(*second), "the second receipt is posted again")
        third = write(source, "c.csv")
        pipeline.wait_until(lambda: hook.sources()[-1:] == third, "the third receipt is posted")
    # A restart may issue a receipt again, which is then the same one.
    assert len({posted.key for posted in hook.posted}) == len(first + second + third)


def test_a_server_that_does_not_answer_does_not_hold_up_a_stop(pipeline: Pipeline, tmp_path: Path) -> None:
    with Hook() as hook:
        hook.answers.clear()
        sources = write(tmp_path / "in", "a.csv")
        start(pipeline, tmp_path / "in", hook)
        sink = pipeline.services[-1]
        pipeline.wait_until(lambda: hook.sources() == sources, "the receipt is posted")
        code, took_s = sink.stop()
    assert (code, took_s < 5) == (0, True)


def test_a_finite_run_waits_for_a_server_no_longer_than_a_drain_may_take(pipeline: Pipeline, tmp_path: Path) -> None:
    with Hook() as hook:
        hook.status = 500
        sources = write(tmp_path / "in", "a.csv")
        pipeline.start("ingest", "--once", str(tmp_path / "in"))
        pipeline.start("split", SPLIT_BY="Sex", EXIT_WHEN_DONE="true")
        settings = {"EXIT_WHEN_DONE": "true", "DRAIN_DEADLINE_S": "1", "ON_DELIVERY": hook.url}
        pipeline.finish(*pipeline.services, sink := pipeline.start("sink", **settings))
        assert sink.events("ON_DELIVERY has not taken all receipts: the next start goes on with them")
        hook.status = 200
        before = len(hook.posted)
        pipeline.finish(pipeline.start("sink", **settings | {"DRAIN_DEADLINE_S": "60"}))
    assert set(hook.sources()[before:]) == set(sources)


def test_of_what_was_delivered_before_it_was_set_nothing_is_posted(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "in"
    for number in range(2):
        write(source, f"{number}.csv")
        pipeline.run(source, "Sex")
    with Hook() as hook:
        last = write(source, "last.csv")
        pipeline.run(source, "Sex", ON_DELIVERY=hook.url)
    assert hook.sources() == last


def test_rows_are_as_quick_beside_a_server_that_hangs(pipeline: Pipeline, tmp_path: Path) -> None:
    with Hook() as hook:
        hook.answers.clear()
        source = tmp_path / "in"
        write(source, "a.csv")
        start(pipeline, source, hook)
        pipeline.wait_until(lambda: hook.posted, "a receipt is posted")
        began = time.monotonic()
        [second] = write(source, "b.csv")
        pipeline.wait_until(receipt_path(pipeline.output, Path(second)).exists, "the second source is delivered")
        assert time.monotonic() - began < 10
        assert len(hook.posted) == 1
