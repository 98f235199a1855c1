import asyncio
import os
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from common.connection.arguments import connection
from common.errors import ConfigurationError
from common.setting import shown
from common.settings_reader import read_settings
from services.ingest.parsing.options import ReadOptions
from services.ingest.settings import IngestSettings
from services.sink.settings import SinkSettings
from services.split.settings import SplitSettings
from tests.harness.setting_names import names_of

OAUTH = ("a", "--kafka-security-protocol", "SASL_SSL", "--kafka-sasl-mechanism", "OAUTHBEARER")
CLIENT = ("--kafka-oauth-client-id", "me", "--kafka-oauth-client-secret", "hunter2")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for model in (IngestSettings, SplitSettings, SinkSettings):
        for name in names_of(model):
            monkeypatch.delenv(name.upper(), raising=False)


def ingest(*argv: str) -> IngestSettings:
    return read_settings(IngestSettings, argv, program="ingest", positional="input")


def test_input_comes_by_flag_by_position_or_by_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ingest("--input", "a.csv").input == "a.csv"
    assert ingest("a.csv", "--once").input == "a.csv"
    assert ingest("--once", "a.csv", "--settle-s", "3").input == "a.csv"
    assert ingest("--settle-s", "3", "-").input == "-"
    monkeypatch.setenv("INPUT", "b.csv")
    assert ingest().input == "b.csv"
    assert ingest("a.csv").input == "a.csv"


def test_a_flag_wins_over_the_environment_and_an_empty_variable_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARTITIONS", "3")
    monkeypatch.setenv("TOPIC_PREFIX", "")
    monkeypatch.setenv("ONCE", "true")
    assert ingest("a").partitions == 3
    assert ingest("a", "--partitions", "2").partitions == 2
    assert ingest("a").topic_prefix == "nacre."
    assert ingest("a").once is True
    assert ingest("a", "--no-once").once is False
    assert ingest("a", "--partitions=", "--topic-prefix", "").partitions == 3
    with pytest.raises(ConfigurationError, match="INPUT is not set"):
        # As of a variable that is not set: not every file of the working directory.
        ingest("")


def test_a_misspelt_flag_is_one_line_without_its_value() -> None:
    for argv in (
        ("a", "--kafka-sasl-pasword=hunter2"),
        ("a", "--kafka-sasl-pasword\n=hunter2"),
        ("a", "--kafka-sasl-pasword", "-hunter2"),
        ("a", "--kafka-sasl-pasword", "--hunter2"),
    ):
        with pytest.raises(ConfigurationError, match=r"there is no --kafka-sasl-pasword") as raised:
            ingest(*argv)
        assert "hunter2" not in str(raised.value)
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ((), "INPUT is not set"),
        # As a shell expands a glob without quotes.
        (("a", "b"), "INPUT is given twice, 'a' and 'b': name a folder, or put the glob in quotes"),
        (("a", "--partitions", "0"), "PARTITIONS '0'"),
        (("a", "--topic-prefix", "a/b"), "TOPIC_PREFIX"),
        (("a", "--order", "any"), "ORDER 'any'"),
        (("a", "--kafka-security-protocol", "SASL_SSL"), "KAFKA_SASL_USERNAME"),
        (("a", "--kafka-ssl-key-location", "k"), "KAFKA_SSL_KEY_LOCATION needs KAFKA_SSL_CERTIFICATE_LOCATION"),
        ((*OAUTH, "--kafka-oauth-client-id", "me"), "OAUTHBEARER needs KAFKA_OAUTH_TOKEN_ENDPOINT"),
        (
            (*OAUTH, *CLIENT, "--kafka-oauth-token-endpoint", "login.example/t"),
            "KAFKA_OAUTH_TOKEN_ENDPOINT is not https",
        ),
        ((*OAUTH, *CLIENT, "--kafka-oauth-token-endpoint", "https://h:p/t"), "KAFKA_OAUTH_TOKEN_ENDPOINT is not https"),
        ((*OAUTH, "--kafka-oauth-extensions", "a=b,c"), "KAFKA_OAUTH_EXTENSIONS 'a=b,c'"),
        (("a", "--delimiter", ";;"), "DELIMITER ';;': neither one ASCII character .* tab or auto"),
        (("a", "--delimiter", "0"), "DELIMITER '0'"),
        (("a", "--quote", "\u00ab"), "QUOTE '\u00ab': neither one ASCII character .* none or auto"),
        (("a", "--quote", ","), "DELIMITER and QUOTE are both ','"),
        (("a", "--encoding", "utf-16"), "ENCODING 'utf-16': no encoding whose rows"),
        (("a", "--encoding", "shift_jis", "--delimiter", "|"), r"DELIMITER '\|' may be part of a character"),
        (("a", "--skip-lines", "-1"), "SKIP_LINES"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        ingest(*argv)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 78


def test_a_dialect_is_what_was_asked_for() -> None:
    assert ingest("a").read_options == ReadOptions()
    assert ingest("a", "--delimiter", "tab", "--quote", "none").read_options == ReadOptions(delimiter=b"\t", quote=b"")
    assert ingest("a", "--delimiter", "auto", "--quote", "auto").read_options == ReadOptions(delimiter=None, quote=None)
    assert ingest("a", "--encoding", "Latin-1", "--skip-lines", "3").read_options == ReadOptions(
        encoding="iso8859-1", skip_lines=3
    )


def test_a_wrong_split_by_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLIT_BY", "Sex,Rings:number")
    with pytest.raises(ConfigurationError, match=r"SPLIT_BY .*number"):
        read_settings(SplitSettings, [], program="split")


def test_the_password_may_stand_in_a_file_and_is_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    user = ("--kafka-security-protocol", "SASL_PLAINTEXT", "--kafka-sasl-username", "u")
    by_file = ingest("a", *user, "--kafka-sasl-password-file", str(secret))
    direct = ingest("a", *user, "--kafka-sasl-password", "hunter2")
    for settings in (by_file, direct):
        assert "hunter2" in connection(settings).values()
        assert "hunter2" not in repr(settings) + str(shown(settings))


def test_a_password_file_that_is_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    user = ("--kafka-security-protocol", "SASL_PLAINTEXT", "--kafka-sasl-username", "u")
    settings = ingest("a", *user, "--kafka-sasl-password-file", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match=r"KAFKA_SASL_PASSWORD_FILE .*none"):
        connection(settings)


@pytest.mark.parametrize("name", ["kafka-sasl-password", "kafka-oauth-client-secret"])
def test_a_secret_whose_file_is_missing_for_an_instant_refuses_no_client_that_begins_then(
    tmp_path: Path, name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    user = ("--kafka-security-protocol", "SASL_PLAINTEXT", "--kafka-sasl-username", "u")
    client = (*OAUTH[1:], "--kafka-oauth-client-id", "u", "--kafka-oauth-token-endpoint", "http://127.0.0.1:1/t")
    settings = ingest("a", *(user if name == "kafka-sasl-password" else client), f"--{name}-file", str(secret))
    before = connection(settings)
    secret.unlink()
    arguments = connection(settings)
    assert arguments["sasl_plain_password"] == before["sasl_plain_password"]
    # A connection reports an outage, not a refusal.
    with pytest.raises(KafkaConnectionError, match=f"{secret}: No such file"):
        asyncio.run(arguments["sasl_oauth_token_provider"].prepare())


def test_a_password_in_the_token_endpoint_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"KAFKA_OAUTH_TOKEN_ENDPOINT .*without a user name") as raised:
        ingest(*OAUTH, *CLIENT, "--kafka-oauth-token-endpoint", "https://me:hunter2@login.example/token")
    assert "hunter2" not in str(raised.value)


def test_tokens_bring_their_extensions_and_no_password() -> None:
    settings = ingest(
        *OAUTH,
        *CLIENT,
        "--kafka-oauth-token-endpoint",
        "https://h/t",
        "--kafka-oauth-extensions",
        "pool=p-1,cluster=c=2",
    )
    assert "hunter2" not in repr(settings) + str(shown(settings))
    arguments = connection(settings)
    assert arguments["sasl_plain_password"] is None
    assert arguments["sasl_oauth_token_provider"].extensions() == {"pool": "p-1", "cluster": "c=2"}


@pytest.mark.parametrize("name", ["kafka-sasl-password", "kafka-oauth-client-secret"])
def test_a_secret_that_is_not_utf_8_is_one_line_without_it(tmp_path: Path, name: str) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"hunter2\xff")
    user = {
        "kafka-sasl-password": ("a", "--kafka-security-protocol", "SASL_PLAINTEXT", "--kafka-sasl-username", "u"),
        "kafka-oauth-client-secret": (
            *OAUTH, "--kafka-oauth-client-id", "me", "--kafka-oauth-token-endpoint", "https://h/t"
        ),
    }[name]  # fmt: skip
    for option, value in ((f"--{name}-file", str(secret)), (f"--{name}", os.fsdecode(b"hunter2\xff"))):
        with pytest.raises(ConfigurationError, match="not UTF-8") as raised:
            connection(ingest(*user, option, value))
        assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("none", set()),
        ("success", {"_SUCCESS"}),
        ("receipts, manifest", {"_receipts", "manifest-sha256.txt"}),
        ("", {"_receipts", "manifest-sha256.txt", "datapackage.json", "_SUCCESS"}),
    ],
)
def test_each_proof_can_be_left_out(monkeypatch: pytest.MonkeyPatch, text: str, files: set[str]) -> None:
    monkeypatch.setenv("PROOFS", text)
    assert read_settings(SinkSettings, (), program="sink").proof_files == files


@pytest.mark.parametrize("text", ["all", "none,success", "manifest;success", "manifest,"])
def test_an_unknown_proof_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        read_settings(SinkSettings, ("--proofs", text), program="sink")
    assert str(raised.value) == (
        f"PROOFS {text!r}: there are receipts, manifest, datapackage, success, separated by commas, or none"
    )


def test_help_names_every_setting_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    for model, program in ((IngestSettings, "ingest"), (SplitSettings, "split"), (SinkSettings, "sink")):
        with pytest.raises(SystemExit) as left:
            read_settings(model, ["--help"], program=program)
        assert left.value.code == 0
        shown = capsys.readouterr().out
        for name in names_of(model):
            assert f"--{name.replace('_', '-')}" in shown
