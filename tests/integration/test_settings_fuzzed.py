"""Whatever a setting is, it is taken, or it is one line and exit code 78: never a traceback."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.connection.arguments import connection
from common.errors import ConfigurationError
from common.log.setup import _to_json
from common.setting import shown
from common.settings import ServiceSettings
from common.settings_reader import from_environment, make_settings, read_settings
from services.ingest.settings import IngestSettings
from services.sink.settings import SinkSettings
from services.split.categories.splits import parse_split_by
from services.split.settings import SplitSettings
from tests.harness.setting_names import names_of

pytestmark = pytest.mark.long


MODELS: tuple[type[ServiceSettings], ...] = (IngestSettings, SplitSettings, SinkSettings)
NAMES = sorted({name for model in MODELS for name in names_of(model)})
# What people write, what programs write, and what no one does.
ODD = (
    *(
        "",
        " ",
        "-1",
        "0",
        "1",
        "3",
        "1.5",
        "1e400",
        "-1e400",
        "nan",
        "inf",
        "1e308",
        "9" * 30,
        "9" * 400,
        "9" * 5000,
        "0x10",
        "1_000",
    ),
    *(
        "true",
        "no",
        "None",
        "null",
        "[]",
        "{}",
        "[",
        '{"a": 1}',
        "'",
        '"',
        "\\",
        "/",
        "/dev/null",
        "/proc/self/mem",
        ".",
    ),
    *("a,b", "a;b", "localhost:", "http://a", ":", "::", "*", "#1", "#0", "**", "~", "%s", "{split}", "{", "}", "{x}"),
    *("x\ny", "x\r", "\t", "ä", "\u2028", "\U0001f40c", "\udcff", "x" * 5000, "$HOME", "~root", "--help", "-", "--"),
    *("PLAIN", "SASL_SSL", "SSL", "SASL_PLAINTEXT", "GSSAPI", "utf-16", "hex", "rot13", "idna", "undefined", "cp1252"),
    *("Rings:float/0", "Rings:float/1e9", "a=b=c", '"', "1%", "101%", "gzip", "debug", "json", "tab", "none", "auto"),
)
VALUES = st.one_of(st.sampled_from(ODD), st.text(st.characters(exclude_characters="\0"), max_size=30))


def use(given_settings: ServiceSettings) -> None:
    """All that a service makes of its settings before it does anything."""
    _to_json(shown(given_settings))
    assert given_settings.servers
    assert given_settings.max_batch_bytes
    if given_settings.kafka_ssl_ca_location is None or "SSL" not in given_settings.kafka_security_protocol:
        connection(given_settings)
    if isinstance(given_settings, IngestSettings):
        assert given_settings.read_options
        assert given_settings.tolerance
    if isinstance(given_settings, SinkSettings):
        assert given_settings.rolling
    if isinstance(given_settings, SplitSettings):
        assert parse_split_by(given_settings.split_by)


def read(model: type[ServiceSettings], environment: dict[str, str]) -> str:
    """The one line that is said of these settings, or nothing; as read_settings does, without flags."""
    needed = {"INPUT": "in", "SPLIT_BY": "Sex"}
    environment = {name: value for name, value in (needed | environment).items() if name not in os.environ or value}
    kept = {name: value for name, value in os.environ.items() if name.lower() not in NAMES}
    # As an environment gives them: a value that it cannot hold never reaches a service.
    usable = {name: value for name, value in environment.items() if _fits(value)}
    with patch.dict(os.environ, kept | usable, clear=True):
        try:
            use(make_settings(model, from_environment(model)))
        except ConfigurationError as error:
            return str(error)
    return ""


def _fits(value: str) -> bool:
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return "\0" not in value


@pytest.mark.parametrize("model", MODELS)
def test_each_setting_with_each_odd_value(model: type[ServiceSettings]) -> None:
    # Those of all services once.
    names = set(names_of(model)) - (set() if model is SinkSettings else set(names_of(ServiceSettings)))
    for name in sorted(names):
        for value in ODD:
            said = read(model, {name.upper(): value})
            assert len(said.splitlines()) <= 1, (name, value, said)


@settings(max_examples=100)
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6), st.sampled_from(MODELS))
def test_any_environment(environment: dict[str, str], model: type[ServiceSettings]) -> None:
    said = read(model, {name.upper(): value for name, value in environment.items()})
    assert "\n" not in said


@pytest.mark.parametrize(
    "write",
    [
        lambda path: path.write_bytes(b"\xff\xfe"),
        lambda path: path.mkdir(),
        lambda _: None,
    ],
    ids=["no text", "a folder", "nothing"],
)
def test_any_password_file(write: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write(path)
    user = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "u"}
    said = read(SinkSettings, user | {"KAFKA_SASL_PASSWORD_FILE": str(path)})
    assert said.startswith(f"KAFKA_SASL_PASSWORD_FILE {path}: ")


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_any_file_of_an_authority(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="KAFKA_SSL_CA_LOCATION"):
        connection(
            read_settings(
                SinkSettings,
                [f"--kafka-ssl-ca-location={path}", "--kafka-security-protocol=SSL"],
                program="test",
            )
        )
