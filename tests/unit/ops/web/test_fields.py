import json
from typing import Any

import orjson
from msgspec.structs import replace

from ops.status.figures import Figures, figures
from ops.status.observation import Observation, Replica, SeenPartition
from ops.tap.origins import Origin, Stage
from ops.tap.rows import Place, Row
from ops.view.view import CategoryRows, ShownReceipt, SplitBalance, View
from ops.web.fields import MOST_CATEGORIES, MOST_RECEIPTS, MOST_REPLICAS, fields_of, point_of, rejected_fields

HOSTILE = "<img src=x onerror=alert(1)>\x1b[2J\u202e"
ESCAPED = "<img src=x onerror=alert(1)>\\x1b[2J\\u202e"
SINK = {"sink": (Replica("b.0", {"categorized": (0, 1, 2, 5), "rejected": (0,)}), Replica("b.1"))}
LEFT = {"sink": (SeenPartition("categorized", 0, 5, 9, 3), SeenPartition("categorized", 5, 5, 9, 4))}
NOW = Observation(1.0, 2_000, replicas=SINK, partitions=LEFT)


def found(of: Observation = NOW) -> Figures:
    return figures(of)


def shown(view: View) -> dict[str, Any]:
    """As the page gets it."""
    return dict(json.loads(orjson.dumps(fields_of(view, f"{HOSTILE}* at kafka:9092"))))


def row(value: bytes, size: int | None = None, **origin: str) -> Row:
    return Row(Place(Stage.REJECTED, "rejected", 0, 1), 7, Origin(**origin), 3, 40, value, size or len(value), "utf-8")


def test_of_very_many_the_first_are_sent_and_how_many_there_are() -> None:
    categories = tuple(CategoryRows("Sex", f"{n}", n, 1) for n in range(500))
    receipts = tuple(ShownReceipt(f"{n}.csv", 1, 0, n, None, None) for n in range(100))
    many = replace(NOW, replicas={"sink": tuple(Replica(f"{n}") for n in range(1_000))})
    view = View(found(many), 5, 5, 0.0, categories, 100_000, {}, (), receipts, 10_000)
    fields = shown(view)
    assert (len(fields["categories"]["largest"]), fields["categories"]["count"]) == (MOST_CATEGORIES, 100_000)
    assert (len(fields["receipts"]), fields["receipt_count"]) == (MOST_RECEIPTS, 10_000)
    sink = fields["stages"][2]
    assert (len(sink["replicas"]), sink["replica_count"]) == (MOST_REPLICAS, 1_000)


def test_what_others_wrote_is_escaped_wherever_it_stands() -> None:
    view = View(
        replace(found(), note=HOSTILE),
        0,
        None,
        None,
        (CategoryRows(HOSTILE, HOSTILE, 1, 1),),
        1,
        {(HOSTILE, HOSTILE): 1},
        (SplitBalance(HOSTILE, 1, 1, 0, 0, 0),),
        (ShownReceipt(HOSTILE, 1, 0, 1, None, None),),
        1,
    )
    text = orjson.dumps(fields_of(view, HOSTILE)).decode()
    assert text.count(json.dumps(ESCAPED)[1:-1]) == 8
    assert "\u202e" not in text
    assert "u001b" not in text


def test_a_rejected_row_is_cut_and_a_byte_that_is_no_text_is_shown() -> None:
    fields = rejected_fields(row(b"caf\xe9\n<b>", source=HOSTILE, split=HOSTILE, code="fields", reason=HOSTILE))
    assert (fields["row"], fields["size"]) == ("caf\\\\xe9\\n<b>".replace("\\\\", "\\"), None)
    assert (fields["source"], fields["split"], fields["reason"], fields["line"]) == (ESCAPED, ESCAPED, ESCAPED, 3)
    long = rejected_fields(row(b"x" * 1_000))
    assert (len(long["row"]), long["size"], long["source"]) == (401, 1_000, "(source not known)")
    assert rejected_fields(row(b"x", 9_000_000))["size"] == 9_000_000


def test_what_waits_for_a_replica_is_what_waits_in_its_partitions() -> None:
    fields = shown(View(found(), 0, None, None))
    assert fields["stages"][2]["replicas"] == [
        {
            "client": "b.0",
            "has": [
                {"topic": "categorized", "numbers": "0-2,5", "rows": 7},
                {"topic": "rejected", "numbers": "0", "rows": None},
            ],
        },
        {"client": "b.1", "has": []},
    ]


def test_a_balance_has_what_was_rejected_apart_from_what_was_replayed_since() -> None:
    balance = SplitBalance("Sex", rows=10, in_files=9, rejected=1, replayed=2, missing=0, rejected_and_replayed=2)
    [line] = shown(View(found(), 0, None, None, balance=(balance,)))["balance"]
    assert (line["rejected"], line["rejected_and_replayed"]) == (1, 2)
    came_out = line["in_files"] + line["rejected"] + line["rejected_and_replayed"]
    assert line["rows"] + line["replayed"] == came_out + line["missing"]


def test_more_than_was_read_is_not_under_way() -> None:
    balance = SplitBalance("Sex", rows=10, in_files=12, rejected=0, replayed=0, missing=-2)
    [line] = shown(View(found(), 0, None, None, balance=(balance,)))["balance"]
    assert (line["missing"], line["surplus"], line["lost"]) == (0, 2, 0)


def test_rows_that_nothing_can_bring_any_more_are_lost() -> None:
    balance = SplitBalance("Sex", rows=10, in_files=8, rejected=0, replayed=0, missing=2, has_settled=True)
    [line] = shown(View(found(), 0, None, None, balance=(balance,)))["balance"]
    assert (line["missing"], line["lost"]) == (2, 2)


def test_the_plots_have_the_figures_of_the_view() -> None:
    view = View(found(), 0, None, 4.5)
    point, fields = point_of(view), shown(view)
    assert (point.at_s, point.unsafe_s, point.split) == (2.0, 4.5, None)
    assert point.sink_lag == fields["stages"][2]["lag_rows"] == 7
