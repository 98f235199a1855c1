"""A view with something of everything, hostile names among it, for tests of what shows it."""

from msgspec.structs import replace

from common.protocol.progress import Progress, Run
from common.rows.tally import Tally
from ops.status.figures import figures
from ops.status.observation import Observation, Replica, SeenFile, SeenPartition, SeenReceipt
from ops.view.gathering import view_of
from ops.view.ledgers import SafeRows
from ops.view.view import CategoryRows, SplitBalance, View

AT_MS = 1_700_000_000_000
HOSTILE = "/data/\x1b[2J[red]b[/red]\n\U0001f600.csv"


def observation(at_s: float = 12.0, files: int = 2, read: int = 900) -> Observation:
    """A look: a source is delivered, one is half read, split stands still; `files` more wait."""
    done = Progress("/data/abalone.csv", offset=9_000, tally=Tally(4_177), ended=True, ends=1, format=2, rejected=2)
    hostile = Progress(HOSTILE, offset=read, tally=Tally(read // 9), format=2)
    more = [Progress(f"/data/{number:05}.csv", format=2) for number in range(files)]
    return Observation(
        at_s,
        AT_MS,
        {each.source: each for each in (done, hostile, *more)},
        {HOSTILE: SeenFile(2_000, 2_000 - read), **{each.source: SeenFile(500, 500) for each in more}},
        {done.source: SeenReceipt(1, 4_177, 2, AT_MS - 5_000, 12, 48)},
        {0: Run(0, "1", "follows")},
        {
            "ingest": (Replica("host.1", {"progress": (0, 1, 2)}),),
            "split": (Replica("host.2", {"rows": (0, 1, 2, 4)}), Replica("host.3", {"rows": (3, 5)})),
            "sink": (Replica("host.4", {"categorized": (0, 1, 2, 3, 4, 5), "rejected": (0,)}),),
        },
        {
            "split": (SeenPartition("rows", 0, 5, 5_050, 1_234, oldest_ms=AT_MS - 7_300),),
            "sink": (SeenPartition("categorized", 0, 9, 9),),
        },
        1,
        split_rows=3_043 - round(12 - at_s) * 1_000,
        rows_in_files=8_547 - round(12 - at_s) * 2_000,
        rows_rejected=6,
    )


def view(files: int = 2, categories: int = 3) -> View:
    """A view from two looks."""
    now, before = observation(files=files), observation(10.0, files, 500)
    found = view_of(figures(now, before), now, SafeRows(in_files=8_547, rejected=6))
    names = ["M", HOSTILE, "F", *(f"{number}" for number in range(categories))][:categories]
    return replace(
        found,
        categories=(
            CategoryRows("all", "", 4_277, 1),
            *(CategoryRows("Sex", name, 1_528 // (at + 1), 1) for at, name in enumerate(names)),
        ),
        category_count=100_001,
        rejected={("Rings", "number"): 3, ("", "fields"): 2},
        has_older_rows=False,
        balance=(SplitBalance("Rings", 4_277, 4_270, 3, 2, 5, 1), SplitBalance("Sex", 4_277, 4_277, 0, 0, 0)),
    )
