import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from ops.status.source_figures import Delivery, SourceFigures
from ops.web.board import Board
from ops.web.history import Point

SOURCE = SourceFigures("a.csv", Delivery.UNDER_WAY, 1, 2, 50.0, 3, 0, None)
QUIET_S = 0.01


def events(chunk: bytes) -> list[tuple[str, Any]]:
    found = []
    for each in chunk.decode().split("\n\n"):
        if each.startswith("event: "):
            kind, data = each.split("\n")
            found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def kinds(chunk: bytes) -> list[str]:
    return [kind for kind, _ in events(chunk)]


def begin(board: Board) -> tuple[Iterator[bytes], bytes]:
    stream = board.stream(QUIET_S)
    return stream, next(stream)


def test_a_page_that_is_opened_late_gets_what_the_others_have() -> None:
    board = Board()
    board.show_view({"rows": 1}, Point(1.0, ingest=5.0), [SOURCE])
    board.show_rejected([{"row": "x"}])
    board.show_view({"rows": 2}, Point(2.0, ingest=6.0), [SOURCE])
    _, opening = begin(board)
    assert opening.startswith(b"retry: ")
    assert kinds(opening) == ["clock", "history", "rejected", "view"]
    found = dict(events(opening))
    assert found["history"]["ingest"] == [5.0, 6.0]
    assert (found["view"]["rows"], found["view"]["point"]["ingest"]) == (2, 6.0)
    assert board.sources == [SOURCE]


def test_while_there_are_no_figures_the_last_ones_come_with_the_reason() -> None:
    board = Board()
    board.show_view({"rows": 1}, Point(1.0), [])
    board.show_trouble("no figures: the broker is away", 2_000)
    stream, opening = begin(board)
    assert kinds(opening) == ["clock", "history", "view", "trouble"]
    assert events(opening)[-1][1] == {"text": "no figures: the broker is away", "at_ms": 2_000}
    board.show_view({"rows": 2}, Point(3.0), [])
    assert kinds(next(stream)) == ["clock", "view"]
    assert "trouble" not in kinds(begin(board)[1])


def test_one_that_reads_slowly_misses_what_is_out_of_date() -> None:
    board = Board()
    stream, _ = begin(board)
    for rows in range(100):
        board.show_view({"rows": rows}, Point(float(rows)), [])
        board.show_rejected([{"row": rows}])
    _, *found = events(next(stream))
    assert [(kind, fields.get("rows")) for kind, fields in found] == [("view", 99), ("rejected", [{"row": 99}])]


def test_news_come_with_the_time_so_that_a_clock_that_is_set_makes_no_figures_old() -> None:
    board = Board()
    stream, opening = begin(board)
    now_ms = [events(opening)[0][1]["now_ms"]]
    for number in range(3):
        board.show_view({"rows": number}, Point(float(number)), [])
        (kind, fields), (news, _) = events(next(stream))
        assert (kind, news) == ("clock", "view")
        now_ms.append(fields["now_ms"])
    assert now_ms == sorted(now_ms)


def test_a_stream_without_news_says_that_it_is_there_until_it_is_ended() -> None:
    board = Board(interval_s=60)
    stream, _ = begin(board)
    said = [events(chunk) for chunk in islice(stream, 2)]
    assert [kind for each in said for kind, _ in each] == ["clock", "clock"]
    assert said[0][0][1]["interval_s"] == 60
    board.close()
    assert list(stream) == []


def test_text_of_others_cannot_end_an_event() -> None:
    board = Board()
    board.show_trouble("a\n\nevent: view\r\rdata: {}", 1)
    assert kinds(begin(board)[1]) == ["clock", "history", "trouble"]
