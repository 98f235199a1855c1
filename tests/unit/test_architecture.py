"""docs/architecture.md has every package's line, and every name of the code that a page holds exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.harness.pages import PAGES, text_of
from tests.harness.pipeline import PROJECT

ARCHITECTURE = PROJECT / "docs" / "architecture.md"
BEGIN, END = "<!-- packages -->", "<!-- /packages -->"
ROOTS = ("common", "services", "ops")
# `services/sink/`, `services/sink/service.py`, `services/sink/service.py:Sink.carry`, `services.sink.service`
NAME = re.compile(r"`((?:common|services|ops|tests|benchmarks)[/.][\w/.*-]*)(?::([\w.]+))?`")
CYTHON_NAME = re.compile(r"^\s*(?:c?p?def|class|cdef class)\b[^(\n:=]*?(\w+)\s*[(:=]", re.MULTILINE)


def packages() -> dict[str, str]:
    """Each package's path with its line."""
    inits = sorted(init for root in ROOTS for init in (PROJECT / root).rglob("__init__.py"))
    lines = {init.parent.relative_to(PROJECT).as_posix(): ast.get_docstring(module(init)) for init in inits}
    return {path: line or "" for path, line in lines.items()}


@cache
def module(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def table() -> str:
    rows = (f"| `{path}/` | {line} |" for path, line in packages().items())
    return "\n".join(["| package | its line |", "| --- | --- |", *rows])


def names_in(path: Path) -> set[str]:
    """The functions, classes, methods and constants that a module defines."""
    if path.suffix != ".py":
        return set(CYTHON_NAME.findall(path.read_text()))
    return set(_defined(module(path).body, ""))


def _defined(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _defined(node.body, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


def is_there(name: str, inner: str) -> bool:
    if "/" not in name:
        path = PROJECT / name.replace(".", "/")
        # A module, or something that a module defines.
        return (
            path.is_dir()
            or path.with_name(f"{path.name}.py").is_file()
            or (path.parent.with_suffix(".py").is_file() and path.name in names_in(path.parent.with_suffix(".py")))
        )
    if "*" in name:
        return any(PROJECT.glob(name))
    path = PROJECT / name
    return path.is_file() and inner in names_in(path) if inner else path.exists()


def gone_from(text: str) -> list[str]:
    found = sorted({(match[1], match[2] or "") for match in NAME.finditer(text)})
    return [f"{name}:{inner}" if inner else name for name, inner in found if not is_there(name, inner)]


def test_every_package_says_its_line_and_nothing_else() -> None:
    assert [path for path, line in packages().items() if not line or "\n" in line] == []
    more = [path for path in packages() if len(module(PROJECT / path / "__init__.py").body) != 1]
    assert more == [], "an __init__.py exports nothing: what is imported from a package is imported from its module"


def test_the_page_has_every_package_with_its_line() -> None:
    text = ARCHITECTURE.read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    held = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert held == table(), f"put this between the markers:\n{table()}"


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_the_code_on_a_page_exists(page: str) -> None:
    gone = gone_from(text_of(page))
    assert not gone, f"{page} names what is not there: {', '.join(gone)}"


def test_a_name_that_is_gone_is_found() -> None:
    there = "`common/rows/`, `common/rows/schema.py:Schema.id`, `common.rows.schema`, `tests/*/test_*.py`"
    assert gone_from(there) == []
    gone = "`common/none/`, `common/rows/schema.py:Schema.none`, `common.rows.none`, `ops/none_*.py`"
    assert gone_from(gone) == [
        "common.rows.none",
        "common/none/",
        "common/rows/schema.py:Schema.none",
        "ops/none_*.py",
    ]
