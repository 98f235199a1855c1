"""Client certificates as a real TLS server sees them, before and after their files change."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop

from common.connection.tls import client_context
from common.errors import ConfigurationError
from common.settings import ServiceSettings
from common.settings_reader import read_settings
from tests.harness.certificates import Authority

HOST = "127.0.0.1"
PASSWORD = "open sesame"  # noqa: S105 - it opens nothing
Loop = Callable[[], asyncio.AbstractEventLoop]


def settings(folder: Path, **changes: str | None) -> ServiceSettings:
    fields: Mapping[str, str | None] = {
        "kafka-security-protocol": "SSL",
        "kafka-ssl-ca-location": str(folder / "ca.pem"),
        "kafka-ssl-certificate-location": str(folder / "client.pem"),
        "kafka-ssl-key-location": str(folder / "client.key"),
        **{name.replace("_", "-"): value for name, value in changes.items()},
    }
    arguments = [word for name, value in fields.items() if value is not None for word in (f"--{name}", value)]
    return read_settings(ServiceSettings, arguments, program="test")


def server_context(folder: Path, authority: Authority) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", HOST).write(folder, "server"))
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


async def seen_by(server: ssl.SSLContext, client: ssl.SSLContext) -> str:
    """The common name that the server sees, or the error that the client sees."""
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def look(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        certificate: Any = writer.get_extra_info("peercert")
        seen.set_result(next(value for ((name, value),) in certificate["subject"] if name == "commonName"))
        writer.close()

    listening = await asyncio.start_server(look, HOST, 0, ssl=server)
    try:
        _, writer = await asyncio.open_connection(*listening.sockets[0].getsockname(), ssl=client)
        name = await seen
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        listening.close()
    return name


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_new_connection_is_made_with_what_the_files_hold_then(tmp_path: Path, loop: Loop) -> None:
    authority, next_authority = Authority(), Authority()
    authority.write(tmp_path)
    authority.issue("one").write(tmp_path, "client")
    server, next_server = server_context(tmp_path, authority), server_context(tmp_path, next_authority)
    client = client_context(settings(tmp_path))
    with asyncio.Runner(loop_factory=loop) as runner:
        assert runner.run(seen_by(server, client)) == "one"
        authority.issue("two").write(tmp_path, "client")
        assert runner.run(seen_by(server, client)) == "two"
        # After one file is written and before the other is.
        three = authority.issue("three")
        (tmp_path / "client.pem").write_text(three.chain)
        assert runner.run(seen_by(server, client)) == "two"
        (tmp_path / "client.key").write_text(three.key)
        assert runner.run(seen_by(server, client)) == "three"
        (tmp_path / "client.key").unlink()
        assert runner.run(seen_by(server, client)) == "three"
        assert "self-signed certificate" in runner.run(seen_by(next_server, client))
        next_authority.issue("four").write(tmp_path, "client")
        next_authority.write(tmp_path)
        assert runner.run(seen_by(next_server, client)) == "four"
        # The former authority is no longer trusted.
        assert "self-signed certificate" in runner.run(seen_by(server, client))


@pytest.mark.parametrize("in_file", [True, False])
def test_an_encrypted_key_is_opened_by_its_password_which_may_stand_in_a_file(tmp_path: Path, *, in_file: bool) -> None:
    authority = Authority()
    authority.write(tmp_path)
    authority.issue("one", password=PASSWORD).write(tmp_path, "client")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    named = {"kafka_ssl_key_password_file": str(tmp_path / "password")}
    client = client_context(settings(tmp_path, **(named if in_file else {"kafka_ssl_key_password": PASSWORD})))
    assert asyncio.run(seen_by(server_context(tmp_path, authority), client)) == "one"


def test_a_client_that_begins_while_files_are_replaced_goes_on_with_the_former_ones(tmp_path: Path) -> None:
    authority = Authority()
    authority.write(tmp_path)
    authority.issue("one").write(tmp_path, "client")
    server, used = server_context(tmp_path, authority), settings(tmp_path)
    client_context(used)
    two = authority.issue("two")
    (tmp_path / "client.pem").write_text(two.chain)
    assert asyncio.run(seen_by(server, client_context(used))) == "one"
    (tmp_path / "client.key").unlink()
    assert asyncio.run(seen_by(server, client_context(used))) == "one"
    (tmp_path / "client.key").write_text(two.key)
    assert asyncio.run(seen_by(server, client_context(used))) == "two"


def test_certificate_and_key_may_stand_in_one_file(tmp_path: Path) -> None:
    authority = Authority()
    authority.write(tmp_path)
    one = authority.issue("one")
    (tmp_path / "client.pem").write_text(one.key + one.chain)
    client = client_context(settings(tmp_path, kafka_ssl_key_location=None))
    assert asyncio.run(seen_by(server_context(tmp_path, authority), client)) == "one"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kafka_ssl_ca_location": "none"}, "KAFKA_SSL_CA_LOCATION none: No such file"),
        ({"kafka_ssl_ca_location": "{}/garbage"}, "KAFKA_SSL_CA_LOCATION .*garbage: .*NO_CERTIFICATE_OR_CRL_FOUND"),
        ({"kafka_ssl_certificate_location": "none"}, "KAFKA_SSL_CERTIFICATE_LOCATION none: No such file"),
        ({"kafka_ssl_key_location": "none"}, "KAFKA_SSL_KEY_LOCATION none: No such file"),
        (
            {"kafka_ssl_key_location": "{}/other.key"},
            "KAFKA_SSL_KEY_LOCATION .*other.key: this is not the key of KAFKA",
        ),
        ({"kafka_ssl_key_location": "{}/garbage"}, "KAFKA_SSL_KEY_LOCATION .*garbage: not a certificate with its key"),
        ({"kafka_ssl_key_location": "{}/encrypted.key"}, "the key is encrypted: set KAFKA_SSL_KEY_PASSWORD"),
        (
            {"kafka_ssl_key_location": "{}/encrypted.key", "kafka_ssl_key_password": "wrong"},
            "KAFKA_SSL_KEY_PASSWORD does not open the key",
        ),
        ({"kafka_ssl_key_password_file": "none"}, "KAFKA_SSL_KEY_PASSWORD_FILE none: No such file"),
    ],
)
def test_files_that_cannot_be_used_are_one_line_that_names_them(
    tmp_path: Path, changes: dict[str, str], said: str
) -> None:
    authority = Authority()
    authority.write(tmp_path)
    authority.issue("one").write(tmp_path, "client")
    authority.issue("other").write(tmp_path, "other")
    authority.issue("one", password=PASSWORD).write(tmp_path, "encrypted")
    (tmp_path / "garbage").write_text("none\n")
    with pytest.raises(ConfigurationError, match=said) as raised:
        client_context(settings(tmp_path, **{name: value.format(tmp_path) for name, value in changes.items()}))
    assert "\n" not in str(raised.value)
