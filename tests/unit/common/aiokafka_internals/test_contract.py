"""The private names of aiokafka: each is as the contract says, and only those in the contract are used."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiokafka
import pytest
from aiokafka.conn import AIOKafkaConnection

from common.aiokafka_internals.contract import CONTRACT, ELSEWHERE, MADE_FOR, Name, check_aiokafka_version
from common.aiokafka_internals.installation import install
from common.errors import ConfigurationError
from tests.harness.private_names import problem

ROOT = Path(__file__).parents[4]
PACKAGE = ROOT / "common" / "aiokafka_internals"
SOURCES = [path for folder in ("common", "ops", "services") for path in sorted((ROOT / folder).rglob("*.py"))]
# Private names that are not aiokafka's: argparse lists its actions nowhere else.
OF_OTHERS = {"_actions"}
# What aiokafka's documentation describes.
DOCUMENTED = (
    *("aiokafka", "aiokafka.abc", "aiokafka.admin", "aiokafka.admin.config_resource"),
    *("aiokafka.errors", "aiokafka.helpers", "aiokafka.structs"),
)


@pytest.fixture(scope="module")
def problems() -> dict[str, str]:
    found: dict[str, str] = json.loads(
        subprocess.check_output([sys.executable, "-m", "tests.harness.private_names"], cwd=ROOT)
    )
    return found


@pytest.mark.parametrize("name", CONTRACT, ids=lambda name: name.path)
def test_a_private_name_is_as_the_contract_has_it(name: Name, problems: dict[str, str]) -> None:
    assert name.purpose
    assert not problems[name.path]


@pytest.mark.parametrize(
    ("path", "signature"),
    [
        ("aiokafka.client:gone", None),
        ("aiokafka.gone:AIOKafkaClient", None),
        ("aiokafka.client:AIOKafkaClient.gone", None),
        ("aiokafka.client:AIOKafkaClient.get_random_node", "self, kind"),
        ("aiokafka.client:create_conn", "address, …"),
    ],
)
def test_a_name_that_is_gone_or_has_changed_is_named(path: str, signature: str | None) -> None:
    assert path in problem(Name(path, "why", signature))


def test_no_name_is_listed_twice() -> None:
    paths = [name.path for name in CONTRACT]
    assert sorted(set(paths)) == sorted(paths)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_private_names_are_used_in_the_package_alone_and_are_listed(path: Path) -> None:
    tree = ast.parse(path.read_text())
    paths = {name.path for name in (CONTRACT if path.is_relative_to(PACKAGE) else ELSEWHERE)}
    # A listed attribute lists its class as well.
    listed = paths | {f"{module}:{names.partition('.')[0]}" for module, _, names in (p.partition(":") for p in paths)}
    assert set(imports_of_private(tree)) <= listed
    attributes = set(private_attributes(tree))
    if path.is_relative_to(PACKAGE):
        attributes -= {name.path.rpartition(".")[2] for name in CONTRACT}
    assert attributes <= OF_OTHERS


def imports_of_private(tree: ast.AST) -> Iterator[str]:
    """The names imported from modules that aiokafka's documentation does not describe, and such modules themselves."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names if each.name.startswith("aiokafka."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "aiokafka":
            for each in node.names:
                # A module imported as a whole: its attributes are what is used.
                if f"{node.module}.{each.name}" in WHOLE_MODULES:
                    yield from attributes_taken(tree, each.asname or each.name, f"{node.module}.{each.name}")
                elif node.module not in DOCUMENTED:
                    yield f"{node.module}:{each.name}"


# Python's own, which only look private.
PROMISED = ("_exit", "_replace")
WHOLE_MODULES = ("aiokafka.client", "aiokafka.consumer.fetcher")


def attributes_taken(tree: ast.AST, name: str, module: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name:
            yield f"{module}:{node.attr}"


def private_attributes(tree: ast.AST) -> Iterator[str]:
    """The private attributes of other objects than `self` that are read, called or set."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            owner = ast.unparse(node.value)
            if owner not in ("self", "cls") and node.attr not in PROMISED:
                yield node.attr


def test_another_version_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    check_aiokafka_version()
    monkeypatch.setattr(aiokafka, "__version__", "0.15.1")
    with pytest.raises(ConfigurationError, match=rf"aiokafka 0\.15\.1 is installed.*{MADE_FOR}") as caught:
        check_aiokafka_version()
    assert "\n" not in str(caught.value)
    # A longer number with the same beginning is another version as well.
    monkeypatch.setattr(aiokafka, "__version__", "0.141.0")
    with pytest.raises(ConfigurationError):
        check_aiokafka_version()


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_what_uses_a_private_name_says_what_upstream_knows_of_it(path: Path) -> None:
    tree = ast.parse(path.read_text())
    if not (set(imports_of_private(tree)) | set(private_attributes(tree))):
        return
    text = " ".join((ast.get_docstring(tree) or "").split() + path.read_text().split()).lower()
    assert any(each in text for each in ("aiokafka issue ", "aiokafka pull request ", "no upstream issue known"))


def test_every_client_is_made_by_the_module_that_installs_the_replacements() -> None:
    clients = {"AIOKafkaAdminClient", "AIOKafkaClient", "AIOKafkaConsumer", "AIOKafkaProducer"}
    makers = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in clients
    }
    assert makers == {"common/kafka/clients.py"}


def test_what_is_installed_once_is_not_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    install()
    monkeypatch.setattr(AIOKafkaConnection, "send", lambda *_: "wrapped since")
    install()
    # As a test does that makes a process die at a request.
    assert AIOKafkaConnection.send() == "wrapped since"
