"""What docs/formats.md says of the topics holds for another client than Nacre's."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from common.rows.reasons import Code
from tests.harness.pages import text_of
from tests.harness.pipeline import Pipeline

_EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_example_prints_each_row_with_its_source_and_category(pipeline: Pipeline, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a", "b"):
        # The last line is open: its row comes behind a mark of its own.
        rows = [f"{'MF'[n % 2]},{name}{n}" for n in range(50)]
        folder.joinpath(f"{name}.csv").write_text("\n".join(["Sex,Number", *rows]), newline="")
    pipeline.run(folder, "Sex,*")
    [example] = _EXAMPLE.findall(text_of("docs/formats.md"))
    code = example.replace("localhost:9092", pipeline.bootstrap).replace("nacre.", pipeline.prefix)
    printed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    expected = [
        f"{folder / name}.csv {key} {sex},{name}{n}"
        for name in ("a", "b")
        for n, sex in enumerate("MF" * 25)
        for key in (f"Sex={sex}", "all")
    ]
    assert Counter(printed.splitlines()) == Counter(expected)


def _section(title: str) -> str:
    return text_of("docs/formats.md").partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_the_page_lists_every_code_of_a_rejection() -> None:
    rows = re.findall(r"^\| `([a-z-]+)` \| ", _section("Rejected rows"), re.MULTILINE)
    assert rows == ["code", *Code]


def test_no_record_of_rows_has_a_key_and_every_batch_says_the_format(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b"Sex,Number\nM,1\nF,2\n")
    pipeline.run(source, "Sex")
    found = pipeline.observer.records("rows")
    assert [record.key for record in found] == [None] * len(found)
    assert [record.headers.get("nacre") for record in found] == [b"mark/2", None, None, b"ended/2"]
    kinds = {record.headers["nacre"] for record in pipeline.observer.records("categorized") if record.headers}
    assert kinds == {b"source/2", b"ended/2"}
