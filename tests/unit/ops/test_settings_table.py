"""`nacre settings` lists every setting, and docs/settings.md holds what it prints."""

from dataclasses import dataclass

import pytest

from common.setting import setting
from common.settings import ServiceSettings
from ops.settings_table import MODELS, main, settings_table
from tests.harness.pipeline import PROJECT
from tests.harness.setting_names import names_of

PAGE = PROJECT / "docs" / "settings.md"
BEGIN, END = "<!-- settings -->", "<!-- /settings -->"


@dataclass(frozen=True, kw_only=True)
class One(ServiceSettings):
    where: str = setting(description="a path | a glob, *.csv")
    once: bool = setting(default=False, description="read once")
    commit_ms: int = setting(100, description="when to commit")


@dataclass(frozen=True, kw_only=True)
class Two(ServiceSettings):
    once: bool = setting(default=False, description="read once")
    commit_ms: int = setting(500, description="when to commit")


def cells(table: str) -> list[list[str]]:
    lines = table.replace("\\|", "¦").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_holds_the_table() -> None:
    text = PAGE.read_text()
    assert text.count(BEGIN) == text.count(END) == 1, f"docs/settings.md lacks the markers {BEGIN} and {END}"
    held = text.partition(BEGIN)[2].partition(END)[0].strip()
    assert held == settings_table(MODELS).strip(), "put what `nacre settings` prints between the markers"


def test_every_setting_of_every_service_is_there_once() -> None:
    names = [row[0].strip("`").lower() for row in cells(settings_table(MODELS))[2:]]
    assert len(names) == len(set(names))
    assert set(names) == {name for model in MODELS.values() for name in names_of(model)}


def test_shared_settings_come_first_and_one_that_differs_has_a_row_each() -> None:
    rows = cells(settings_table({"one": One, "two": Two}))
    shared = len(names_of(ServiceSettings))
    assert {row[1] for row in rows[2 : 2 + shared + 1]} == {"all"}
    assert rows[2 + shared :] == [
        ["`ONCE`", "all", "`false`", "read once"],
        ["`WHERE`", "one", "required", "a path ¦ a glob, \\*.csv"],
        ["`COMMIT_MS`", "one", "`100`", "when to commit"],
        ["`COMMIT_MS`", "two", "`500`", "when to commit"],
    ]


def test_choices_that_the_text_does_not_name_are_added() -> None:
    rows = {row[0]: row[3] for row in cells(settings_table(MODELS))}
    assert rows["`KAFKA_SASL_MECHANISM`"].endswith(": PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER")
    assert "console, json" in rows["`LOG_FORMAT`"]
    assert rows["`LOG_FORMAT`"].count("console") == 2


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out == settings_table(MODELS)


def test_compose_hands_on_every_setting_but_those_of_other_brokers() -> None:
    compose = (PROJECT / "compose.yaml").read_text()
    names = {name.upper() for model in MODELS.values() for name in names_of(model)}
    # The project's own broker has no security and no second broker, and paths inside a container are fixed.
    names -= {name for name in names if name.startswith("KAFKA_")} | {"REPLICATION_FACTOR", "OUTPUT_DIR"}
    assert {name for name in names if f"\n      {name}: $" not in compose and f"\n  {name}: $" not in compose} == set()
