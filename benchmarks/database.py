"""`python -m benchmarks.database [--rows N] [--single N]`: why stream, rather than trigger a database.

The same abalone rows by Sex, into a PostgreSQL of its own in a temporary folder, as it comes (durable commits):

- batch: COPY all into one table, then COPY each category out to a file;
- partitioned: COPY into a table that is partitioned by category, then the partitions out to files;
- trigger: COPY into a table whose trigger inserts each row into its category's table, then these out to files;
- trigger, row by row: the same table, an INSERT and a commit for each row; how long each takes.

Beside them Nacre's three services, from start to exit, from a file to files. The files are compared with a filter over
the input. Also written to benchmarks/results/database.json. Without PostgreSQL it says so and does nothing.
"""

import argparse
import os
import pwd
import shutil
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from benchmarks.contenders import CONTENDERS, Run, Work, make_work
from benchmarks.kept import keep
from benchmarks.processes import percentile
from benchmarks.tables import table
from benchmarks.throughput import check, run_all
from ops.kafka.local import LocalKafka

_COLUMNS = ("Sex", "Length", "Diameter", "Height", "Whole", "Shucked", "Viscera", "Shell", "Rings")
_NAMES = ", ".join(_COLUMNS)
# Text keeps a row's exact bytes and costs the least to read; the number keeps the order.
_TABLE = f"({', '.join(f'{name} text' for name in _COLUMNS)}, number bigint GENERATED ALWAYS AS IDENTITY)"
_CATEGORIES = ("M", "F", "I")
_TABLES = f"""
CREATE TABLE plain {_TABLE};
CREATE TABLE parted {_TABLE.replace(" GENERATED ALWAYS AS IDENTITY", "")} PARTITION BY LIST (Sex);
CREATE SEQUENCE numbers CACHE 1000;
ALTER TABLE parted ALTER number SET DEFAULT nextval('numbers');
CREATE TABLE live {_TABLE};
CREATE FUNCTION sort_in() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.Sex = 'M' THEN INSERT INTO live_M VALUES (NEW.*);
    ELSIF NEW.Sex = 'F' THEN INSERT INTO live_F VALUES (NEW.*);
    ELSE INSERT INTO live_I VALUES (NEW.*);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER sort_in AFTER INSERT ON live FOR EACH ROW EXECUTE FUNCTION sort_in();
""" + "".join(
    f"CREATE TABLE parted_{name} PARTITION OF parted FOR VALUES IN ('{name}');"
    f"CREATE TABLE live_{name} ({', '.join(f'{column} text' for column in _COLUMNS)}, number bigint);"
    for name in _CATEGORIES
)
_SHOWN = {
    "tables_rows_per_s": "rows/s into tables",
    "files_rows_per_s": "rows/s to files",
    "p50_ms": "a row's commit, ms: p50",
    "p99_ms": "p99",
    "max_ms": "max",
}


class Database:
    """A PostgreSQL that listens on a socket in this folder, until the way out of a `with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        # It refuses to be run by root.
        self._owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            shutil.chown(self._folder, self._owner)
        self._run("initdb", "--auth=trust", "--username=bench", "--pgdata", str(self._data))
        options = f"-k {self._folder} -c listen_addresses=''"
        self._run("pg_ctl", "start", "-w", "-D", str(self._data), "-l", str(self._folder / "log"), "-o", options)
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._data))

    def _run(self, program: str, *arguments: str) -> None:
        user = self._owner if os.geteuid() == 0 else None
        done = subprocess.run(
            [program, *arguments],
            user=user,
            cwd=self._folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{program}: exit {done.returncode}")

    def execute(self, script: str) -> tuple[float, str]:
        """Run a script of psql; return its seconds and what it printed."""
        command = ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", str(self._folder), "-U", "bench", "postgres"]
        began = time.perf_counter()
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"psql: {done.stderr[-2000:]}")
        return time.perf_counter() - began, done.stdout


def measure_copy(database: Database, table: str, select: str, work: Work, folder: Path) -> dict[str, float]:
    """Rows/s into the tables, and to files from the start; `select` has a place for the category."""
    into_s, _ = database.execute(f"\\copy {table} ({_NAMES}) from '{work.path}' csv header\n")
    output = folder / table
    output.mkdir()
    queries = {name: select.format(name) for name in _CATEGORIES}
    header = work.path.read_text().partition("\n")[0]
    out_s, _ = database.execute(
        "".join(f"\\copy ({query} order by number) to '{output / name}.csv' csv\n" for name, query in queries.items())
    )
    for name, content in work.expected.items():
        if f"{header}\n".encode() + (output / name).read_bytes() != content:
            sys.exit(f"{table}: {name} is not what it has to be")
    return {"tables_rows_per_s": work.rows / into_s, "files_rows_per_s": work.rows / (into_s + out_s)}


def measure_single(database: Database, work: Work, rows: int) -> dict[str, float]:
    """Rows/s and the time of each, one commit after the other."""
    lines = work.path.read_text().splitlines()[1 : rows + 1]
    values = ("','".join(line.split(",")) for line in lines)
    script = "".join(f"INSERT INTO live ({_NAMES}) VALUES ('{each}');\n" for each in values)
    took_s, printed = database.execute(f"\\timing on\n{script}")
    took_ms = sorted(float(line.split()[1]) for line in printed.splitlines() if line.startswith("Time:"))
    return {
        "tables_rows_per_s": len(lines) / took_s,
        "p50_ms": percentile(took_ms, 50),
        "p99_ms": percentile(took_ms, 99),
        "max_ms": took_ms[-1],
    }


def measure_nacre(work: Work, folder: Path) -> dict[str, float]:
    """Rows/s of all three services from the first start to the last exit; the broker is as new as the database was."""
    ours = CONTENDERS[0]
    with LocalKafka() as kafka:
        run = Run(kafka.bootstrap, "database.", work, folder / "nacre")
        took_s = run_all(ours, run).took_s
        check(ours, run)
    return {"files_rows_per_s": work.rows / took_s}


def shown(results: dict[str, dict[str, float]]) -> str:
    """The table."""
    rows = ((name, *(_cell(figures, column) for column in _SHOWN)) for name, figures in results.items())
    return table("", list(_SHOWN.values()), rows)


def _cell(figures: dict[str, float], column: str) -> str:
    if column not in figures:
        return "-"
    return f"{figures[column]:,.0f}" if column.endswith("rows_per_s") else f"{figures[column]:.2f}"


def main() -> int:
    """Measure each way, once."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--single", type=int, default=3_000)
    asked = parser.parse_args()
    missing = [program for program in ("initdb", "pg_ctl", "postgres", "psql") if shutil.which(program) is None]
    if missing:
        sys.stdout.write(f"skipped: {', '.join(missing)} of PostgreSQL is not on PATH\n")
        return 0
    results: dict[str, dict[str, float]] = {}
    with TemporaryDirectory() as root, TemporaryDirectory() as base:
        folder = Path(root)
        work = make_work(folder, asked.rows)
        with Database(Path(base)) as database:
            database.execute(_TABLES)
            copies = {
                "PostgreSQL, batch": ("plain", f"select {_NAMES} from plain where Sex = '{{}}'"),
                "PostgreSQL, partitioned": ("parted", f"select {_NAMES} from parted_{{}}"),
                "PostgreSQL, trigger": ("live", f"select {_NAMES} from live_{{}}"),
            }
            for name, (table, select) in copies.items():
                results[name] = measure_copy(database, table, select, work, folder)
            results["PostgreSQL, trigger, row by row"] = measure_single(database, work, asked.single)
        results["Nacre"] = measure_nacre(work, folder)
    sys.stdout.write(shown(results))
    keep("database", {"rows": asked.rows, "ways": results})
    return 0


if __name__ == "__main__":
    sys.exit(main())
