"""`nacre config` shows what holds and where it comes from, hides secrets, and refuses what the services refuse."""

import json
import os

import pytest

from common.errors import ConfigurationError
from common.settings_reader import read_settings
from ops.config import main, misspelt
from ops.settings_table import MODELS
from tests.harness.setting_names import names_of

SECRET = "hunter2"  # noqa: S105 - it opens nothing
BEFORE = "name the service before its flags, as in nacre config split --split-by Sex"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name not in {"PATH", "PYTEST_CURRENT_TEST"}:
            monkeypatch.delenv(name)


def rows(text: str) -> dict[str, list[str]]:
    """By setting: the other cells of its lines."""
    return {line.split()[0]: line.split()[1:] for line in text.splitlines()[1:]}


def test_each_setting_is_a_line_with_its_origin(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARTITIONS", "3")
    monkeypatch.setenv("SPLIT_BY", "Rings")
    monkeypatch.setenv("TOPIC_PREFIX", "")
    assert main(["split", "--split-by", "Sex", "--exit-when-done"]) == 0
    shown = capsys.readouterr()
    found = rows(shown.out)
    assert list(found) == [name.upper() for name in names_of(MODELS["split"])]
    assert found["PARTITIONS"] == ["3", "environment"]
    assert found["SPLIT_BY"] == ["Sex", "flag"]
    assert found["EXIT_WHEN_DONE"] == ["true", "flag"]
    assert found["TOPIC_PREFIX"] == ["nacre.", "default"]
    assert found["KAFKA_SASL_USERNAME"] == ["not", "set", "default"]
    assert shown.err == ""


def test_the_input_needs_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ingest", "data/", "--once"]) == 0
    found = rows(capsys.readouterr().out)
    assert (found["INPUT"], found["ONCE"]) == (["data/", "flag"], ["true", "flag"])


def test_all_three_services_share_the_lines_of_what_they_hold_alike(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INPUT", "data")
    monkeypatch.setenv("SPLIT_BY", "Sex")
    assert main([]) == 0
    found = rows(capsys.readouterr().out)
    assert set(found) == {name.upper() for model in MODELS.values() for name in names_of(model)}
    assert found["PARTITIONS"] == ["all", "6", "default"]
    assert found["COMMIT_INTERVAL_MS"] == ["ingest,", "split", "100", "default"]
    assert found["INPUT"] == ["ingest", "data", "environment"]


def test_what_a_service_refuses_is_said_as_it_says_it_beside_all_other_values(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARTITIONS", "six")
    monkeypatch.setenv("KAFKA_SSL_KEY_LOCATION", "key.pem")
    monkeypatch.setenv("INPUT", "data")
    assert main([]) == 78
    shown = capsys.readouterr()
    lines = []
    for service, model in MODELS.items():
        with pytest.raises(ConfigurationError) as raised:
            read_settings(model, [], program=service)
        assert raised.value.exit_code == 78
        lines.append(f"nacre {service}: {raised.value}")
    assert shown.err.splitlines() == lines
    found = rows(shown.out)
    assert found["PARTITIONS"] == ["all", "six", "environment"]
    assert found["SPLIT_BY"] == ["split", "not", "set", "required"]
    assert found["RETENTION_H"] == ["all", "168", "default"]
    # What goes together is checked once each value is right.
    monkeypatch.setenv("PARTITIONS", "6")
    assert main(["sink"]) == 78
    shown = capsys.readouterr()
    assert "KAFKA_SSL_KEY_LOCATION needs" in shown.err
    assert rows(shown.out)["KAFKA_SSL_KEY_LOCATION"] == ["key.pem", "environment"]


@pytest.mark.parametrize("options", [["sink"], ["sink", "--json"], [], ["--json"]])
def test_no_secret_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    monkeypatch.setenv("KAFKA_SASL_PASSWORD", SECRET)
    monkeypatch.setenv("KAFKA_SSL_KEY_PASSWORD", os.fsdecode(SECRET.encode() + b"\xff"))
    monkeypatch.setenv("KAFKA_OAUTH_CLIENT_SECRET_FILE", "/run/secret")
    monkeypatch.setenv("KAFKA_OAUTH_TOKEN_ENDPOINT", f"https://me:{SECRET}@login.example/token")
    monkeypatch.setenv("KAFKA_SASL_PASWORD", SECRET)
    assert main(options) == 78
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert "**********" in shown.out
    assert "login.example" in shown.out
    assert "KAFKA_SASL_PASWORD is no setting: did you mean KAFKA_SASL_PASSWORD?" in shown.err
    assert "file /run/secret" in shown.out


@pytest.mark.parametrize("endpoint", [f"me:{SECRET}@idp/token", f"https://me:{SECRET[:3]}/{SECRET}@idp/token"])
def test_a_password_in_an_address_that_is_none_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], endpoint: str
) -> None:
    monkeypatch.setenv("KAFKA_OAUTH_TOKEN_ENDPOINT", endpoint)
    assert main(["sink"]) == 0
    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err
    assert rows(shown.out)["KAFKA_OAUTH_TOKEN_ENDPOINT"][0].endswith("**********@idp/token")


def test_json_has_the_values_as_they_are(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PARTITIONS", "3")
    monkeypatch.setenv("OUTPUT_DIR", os.fsdecode(b"caf\xe9"))
    assert main(["--json", "sink"]) == 78
    found = json.loads(capsys.readouterr().out)
    sink = found["services"]["sink"]
    assert sink["settings"]["PARTITIONS"] == {"value": 3, "from": "environment"}
    assert sink["settings"]["ROLL_AT_END"] == {"value": False, "from": "default"}
    assert sink["settings"]["KAFKA_SASL_USERNAME"] == {"value": None, "from": "default"}
    assert sink["settings"]["OUTPUT_DIR"] == {"value": r"caf\xe9", "from": "environment"}
    assert "OUTPUT_DIR" in sink["error"]
    assert found["misspelt"] == {}


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["split", "--split-bye", SECRET], "nacre split: there is no --split-bye; --help names all\n"),
        (["--jsn"], f"nacre config: {BEFORE}\n"),
        (["--kafka-sasl-password", SECRET, "split"], f"nacre config: {BEFORE}\n"),
        ([f"--kafka-sasl-password={SECRET}", "split"], f"nacre config: {BEFORE}\n"),
        (["--json", f"--kafka-sasl-password={SECRET}"], f"nacre config: {BEFORE}\n"),
        ([f"--json={SECRET}", "split"], f"nacre config: {BEFORE}\n"),
        (["spilt"], "nacre config: argument service: invalid choice"),
    ],
)
def test_a_wrong_argument_is_one_line(argv: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 78
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(line)
    assert shown.err.count("\n") == 1
    assert SECRET not in shown.err


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("SPLITBY", "SPLIT_BY"),
        ("split_by", "SPLIT_BY"),
        ("NACRE_SPLIT_BY", "SPLIT_BY"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS"),
        ("OUTPUT_DIRECTORY", None),
        ("KAFKA_HOME", None),
        ("SPLIT_BY", None),
        ("PATH", None),
        ("HOME", None),
    ],
)
def test_a_variable_that_is_called_nearly_like_a_setting_is_named(name: str, meant: str | None) -> None:
    assert misspelt([name]) == ({} if meant is None else {name: meant})
