"""Why a broker cannot be used: one line that says it, exit 78 where waiting does not mend it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.harness.broker import free_port
from tests.harness.listeners import PASSWORD, Listeners
from tests.harness.pipeline import ABALONE_FILE, PROJECT, SERVICES, Pipeline, Service

pytestmark = pytest.mark.long


Settings = dict[str, str]
Case = Callable[[Listeners], Settings]

# Five tries, four seconds apart; the machine may be busy.
GIVES_UP_S = 90.0
WRONG = "wrong staple"


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """What is no Kafka: it reads something, answers, and closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with closing(connection):
                    connection.recv(1024)
                    connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


# What waiting may mend: it is said, once, and the service stays.
WAITING: dict[str, tuple[Case, str]] = {
    "name": (
        lambda _: {"KAFKA_BOOTSTRAP_SERVERS": "no-such-host.invalid:9092"},
        "cannot connect to no-such-host.invalid:9092: the host name ",
    ),
    "refused": (
        lambda at: {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{at.lost_port}"},
        "cannot connect to 127.0.0.1:{lost}: the connection is refused: nothing listens there",
    ),
    "advertised": (
        lambda at: at.at("LOST"),
        "cannot connect to 127.0.0.1:{lost}, which a broker advertises (advertised.listeners): the connection is",
    ),
    "expired": (lambda at: at.tls("EXPIRED"), ": the broker's certificate has expired: renew it there"),
}
# What only a setting mends, on either side: tried again for a while.
REFUSED: dict[str, tuple[Case, str]] = {
    "plain to TLS": (
        lambda at: at.at("TLS"),
        ": the broker speaks TLS there, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT does not: try SSL",
    ),
    "TLS to plain": (
        lambda at: at.tls("PLAINTEXT"),
        ": the broker does not speak TLS there, but KAFKA_SECURITY_PROTOCOL=SSL does: try PLAINTEXT",
    ),
    "no user": (
        lambda at: at.at("SASL"),
        "a user there (PLAIN), but KAFKA_SECURITY_PROTOCOL=PLAINTEXT names none: try SASL_PLAINTEXT",
    ),
    "no user, TLS": (lambda at: at.tls("BOTH"), "KAFKA_SECURITY_PROTOCOL=SSL names none: try SASL_SSL"),
    "a user too many": (
        lambda at: at.sasl("PLAINTEXT"),
        ": the broker asks for no user there, but KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT names one: try PLAINTEXT",
    ),
    "password": (
        lambda at: at.sasl("SASL", KAFKA_SASL_PASSWORD=WRONG),
        ": user 'alice' is refused with KAFKA_SASL_MECHANISM=PLAIN: Authentication failed: Invalid username or ",
    ),
    "mechanism": (
        lambda at: at.sasl("SASL", KAFKA_SASL_MECHANISM="SCRAM-SHA-256"),
        ": KAFKA_SASL_MECHANISM=SCRAM-SHA-256 is not enabled there (enabled: PLAIN)",
    ),
    "authority": (
        lambda at: at.at("TLS", KAFKA_SECURITY_PROTOCOL="SSL"),
        ": the broker's certificate is not signed by a known authority (KAFKA_SSL_CA_LOCATION is not set): ",
    ),
    "host": (
        lambda at: at.tls("OTHERHOST"),
        ": the broker's certificate is for another host (IP address mismatch, certificate is not valid for '127.0.0.1'",
    ),
    "no client certificate": (
        lambda at: at.tls("MUTUAL"),
        ": the broker asks for a client certificate that it accepts (KAFKA_SSL_CERTIFICATE_LOCATION)",
    ),
}


def start(make_pipeline: Callable[[str], Pipeline], settings: Settings, name: str = "sink") -> tuple[Pipeline, Service]:
    pipeline = make_pipeline(settings["KAFKA_BOOTSTRAP_SERVERS"])
    return pipeline, pipeline.start(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex", **settings)


def reasons(service: Service, event: str) -> list[str]:
    return [line["reason"] for line in service.events(event)]


def expected(text: str, listeners: Listeners) -> str:
    return text.format(lost=listeners.lost_port)


def test_what_waiting_may_mend_is_said_once(listeners: Listeners, make_pipeline: Callable[[str], Pipeline]) -> None:
    started = {case: start(make_pipeline, settings(listeners)) for case, (settings, _) in WAITING.items()}
    for case, (pipeline, service) in started.items():
        pipeline.wait_until(lambda service=service: service.events("not ready"), case, GIVES_UP_S)  # type: ignore[misc]
    for case, (_, service) in started.items():
        assert service.stop()[0] == 0
        [reason] = reasons(service, "not ready")
        assert expected(WAITING[case][1], listeners) in reason


def test_what_only_a_setting_mends_is_exit_78_after_a_while(
    listeners: Listeners, make_pipeline: Callable[[str], Pipeline]
) -> None:
    started = {case: start(make_pipeline, settings(listeners)) for case, (settings, _) in REFUSED.items()}
    for case, (_, service) in started.items():
        assert service.wait_for_exit(GIVES_UP_S) == 78, case
        text = expected(REFUSED[case][1], listeners)
        [not_ready], [refused] = reasons(service, "not ready"), reasons(service, "cannot go on")
        assert text in not_ready
        assert text in refused
        assert " times in " in refused
        assert WRONG not in service.log()
        assert PASSWORD not in service.log()


def test_a_watch_of_the_status_ends_as_a_service_does(
    listeners: Listeners, make_pipeline: Callable[[str], Pipeline]
) -> None:
    settings, text = REFUSED["password"]
    given = settings(listeners)
    watched = subprocess.run(
        [sys.executable, "-m", "ops", "status", "--watch", "--interval-s", "0.1"],
        cwd=PROJECT,
        env={**make_pipeline(given["KAFKA_BOOTSTRAP_SERVERS"]).environment, **given},
        capture_output=True,
        text=True,
        timeout=GIVES_UP_S,
        check=False,
    )
    assert (watched.returncode, watched.stdout.count("\n"), watched.stderr.count("\n")) == (78, 1, 1)
    assert text in watched.stdout
    assert text in watched.stderr
    assert " times in " in watched.stderr


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_is_no_kafka_is_named_by_the_first_bytes_of_its_answer(
    make_pipeline: Callable[[str], Pipeline], answer: bytes
) -> None:
    with server(answer) as address:
        pipeline, service = start(make_pipeline, {"KAFKA_BOOTSTRAP_SERVERS": address})
        pipeline.wait_for_event(service, "not ready")
        assert service.stop()[0] == 0
    assert reasons(service, "not ready") == [
        f"cannot connect to {address}: what listens there is not a Kafka broker: its answer begins with {answer[:4]!r}"
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_a_cause_that_changes_is_said_again(make_pipeline: Callable[[str], Pipeline], name: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    pipeline, service = start(make_pipeline, {"KAFKA_BOOTSTRAP_SERVERS": address}, name)
    pipeline.wait_for_event(service, "not ready")
    host, port = address.split(":")
    with socket.create_server((host, int(port))) as listening:
        # It closes every connection at once, as a broker does that has too many.
        thread = threading.Thread(target=close_all, args=[listening], daemon=True)
        thread.start()
        pipeline.wait_until(lambda: len(service.events("not ready")) > 1, "another cause is said")
        listening.shutdown(socket.SHUT_RDWR)
    assert service.stop()[0] == 0
    refused, closed = reasons(service, "not ready")[:2]
    assert refused == f"cannot connect to {address}: the connection is refused: nothing listens there"
    assert closed.startswith(f"cannot connect to {address}: the connection is closed at once, without an answer: ")
    assert "max.connections" in closed


def close_all(listening: socket.socket) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        connection.close()


def test_a_password_that_is_rotated_is_read_again(
    listeners: Listeners, make_pipeline: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text(WRONG)
    settings = listeners.sasl("SASL", KAFKA_SASL_PASSWORD="", KAFKA_SASL_PASSWORD_FILE=str(secret))
    pipeline, service = start(make_pipeline, settings)
    pipeline.wait_for_event(service, "not ready")
    secret.write_text(PASSWORD)
    # It has no permissions: that is the next thing it says, so it is let in.
    assert service.wait_for_exit(GIVES_UP_S) == 78
    assert all(reason.startswith("not allowed: ") for reason in reasons(service, "cannot go on"))


@pytest.mark.parametrize("command", ["validate", "rejected"])
def test_the_commands_say_the_same(listeners: Listeners, command: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    arguments = ["validate", str(tmp_path)] if command == "validate" else ["rejected", "list"]
    for case in ("refused", "plain to TLS", "password", "authority"):
        settings, text = (WAITING | REFUSED)[case]
        answer = run(arguments, settings(listeners))
        assert answer.returncode == (1 if command == "validate" or case in WAITING else 78)
        assert expected(text, listeners) in answer.stdout + answer.stderr
        assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("command", ["validate", "rejected"])
def test_the_commands_name_the_topics_that_they_may_not_see(listeners: Listeners, command: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    arguments = ["validate", str(tmp_path)] if command == "validate" else ["rejected", "list"]
    answer = run(arguments, listeners.sasl("SASL", TOPIC_PREFIX="hidden."))
    said = answer.stdout + answer.stderr
    # A user who may see no topic cannot know that the pipeline has topics for receipts.
    further = ("shares", "receipts") if command == "validate" else ()
    for topic in ("rows", "categorized", "rejected", "schemas", "progress", "sources", *further):
        assert f"not allowed: Describe on Topic hidden.{topic}: grant it" in said
    assert "exist" not in said
    assert answer.returncode == (1 if command == "validate" else 78)


def run(arguments: list[str], settings: Settings) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ops", *arguments],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
