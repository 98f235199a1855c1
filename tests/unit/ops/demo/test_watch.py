"""What the demo's observer makes of what it sees."""

from pathlib import Path

from common.protocol.category_keys import file_key
from common.protocol.position import Position
from ops.demo.watch import Standings, Stood, ledger_rows, standings
from services.sink.ledger.database import Ledger
from services.sink.ledger.entries import Changes, Entry


def test_a_row_counts_once_for_each_split_at_sink() -> None:
    positions = [Position(rows=30), Position(rows=10)]
    assert standings(7.5, 100, 3, 60, 0, positions, 90, 0) == Standings(
        7.5, Stood(60, 100), Stood(40, 100), Stood(90, 300)
    )


def test_rejected_rows_are_done_where_they_are_rejected() -> None:
    # Of 100 rows ingest rejects 4; sink writes the 96 others in one split, 90 in the other, and 6 + 4 rejected ones.
    seen = standings(0, 100, 2, 96, 4, [Position(rows=96)], 186, 10)
    assert seen == Standings(0, Stood(100, 100), Stood(96, 96), Stood(192, 192))


def test_ledgers_are_read_while_another_process_writes_them(tmp_path: Path) -> None:
    hidden = tmp_path / ".nacre"
    hidden.mkdir()
    assert ledger_rows(tmp_path) == (0, 0)
    (hidden / "just-begun.ledger").touch()
    first, second = Ledger(hidden / "a-0.ledger"), Ledger(hidden / "b-0.ledger")
    m, f = (file_key("5c4e3a", "Sex", (sex,)) for sex in "MF")
    first.commit({}, Changes([Entry(m, "Sex/M.csv", rows=3), Entry(f, "Sex/F.csv", rows=4)]))
    second.commit({}, Changes([Entry(b"rejected", "rejected.csv", rows=2)]))
    assert ledger_rows(tmp_path) == (7, 2)
    first.commit({}, Changes([Entry(m, "Sex/M.csv", rows=5)]))
    assert ledger_rows(tmp_path) == (9, 2)
    first.close()
    second.close()
    assert ledger_rows(tmp_path) == (9, 2)
