"""What the demo shows without a terminal, and what it computes for the bars."""

import io

from rich.console import Console

from ops.demo.screen import Bars, Pace, category_table
from ops.demo.watch import Standings, Stood
from ops.findings import Finding
from ops.findings_table import findings_table


def shown(*things: object) -> str:
    console = Console(file=io.StringIO(), width=80)
    for thing in things:
        console.print(thing)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_pace_is_from_the_last_look_without_rows_to_the_last_with_more() -> None:
    pace = Pace()
    seen = []
    for at_s, done in [(10.0, 0), (11.0, 0), (12.0, 50), (13.0, 200), (14.0, 200), (15.0, 400), (99.0, 400)]:
        pace.see(at_s, done)
        seen.append(pace.rows_per_s)
    assert seen == [None, None, None, None, None, 100, 100]


def test_no_pace_without_a_beginning() -> None:
    pace = Pace()
    for at_s in range(1, 5):
        pace.see(at_s, 10 * at_s)
    assert pace.rows_per_s is None


def test_without_a_terminal_each_stage_has_a_line_once_and_in_order() -> None:
    console = Console(file=io.StringIO(), width=80)
    done, half = Stood(10, 10), Stood(5, 10)
    with Bars(console) as bars:
        bars.show(Standings(0, half, half, half), [])
        bars.show(Standings(1, half, done, done), ["split", "sink"])
        bars.show(Standings(2, done, half, half), ["ingest"])
        bars.show(Standings(3, done, done, Stood(20, 20)), ["ingest", "split", "sink"])
        bars.show(Standings(4, done, done, Stood(20, 20)), ["ingest", "split", "sink"])
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == "  ingest  10 rows\n  split   10 rows\n  sink    20 rows\n"


def test_of_many_categories_the_largest_are_shown() -> None:
    lines = shown(
        category_table(
            {
                "all": [("", 4177)],
                "Sex": [("M", 1528), ("I", 1342), ("[bold]", 1307)],
                "Many": [(str(number), number) for number in range(1, 101)],
            }
        )
    ).splitlines()
    [whole] = [line.split() for line in lines if line.startswith(" all")]
    [sexes] = [line.split() for line in lines if line.startswith(" Sex")]
    [many] = [line.split() for line in lines if line.startswith(" Many")]
    assert whole == ["all", "1", "4,177"]
    assert sexes == ["Sex", "3", "4,177", "M=1,528", "I=1,342", "[bold]=1,307"]
    assert many[:5] == ["Many", "100", "5,050", "100=100", "99=99"]
    assert "and 92 more" in " ".join("".join(lines).split())


def test_the_proof_says_what_does_not_hold() -> None:
    text = shown(findings_table([Finding(holds=True, text="good [1]"), Finding(holds=False, text="bad")]))
    assert [line.rstrip() for line in text.splitlines()] == ["✓ good [1]", "✗ bad"]
