"""Brokers as companies have them: each way to prove who a user is, on a broker that denies what is not granted."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.expectation import ABALONE, expected_files
from tests.harness.pipeline import ABALONE_FILE, Pipeline
from tests.harness.secured import MECHANISMS, SERVICES, SecuredKafka

pytestmark = pytest.mark.long


ROWS = 500
START_DEADLINE_S = 120.0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "abalone.csv"
    path.write_bytes(b"".join(ABALONE_FILE.read_bytes().splitlines(keepends=True)[: ROWS + 1]))
    return path


def secrets_in(log: str, secured: SecuredKafka, user: str) -> list[str]:
    """The secrets, in any form that is sent, that stand in a log."""
    secret = secured.secret(user)
    forms = [secret, repr(secret)[1:-1], str(secret.encode())[2:-1], ascii(secret)[1:-1], secret[:8]]
    forms += [base64.b64encode(f"{user}:{secret}".encode()).decode(), *secured.tokens.issued]
    return [form for form in forms if form in log]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mechanism", ["SSL", *MECHANISMS])
def test_rows_pass_by_each_way_to_prove_a_user_and_no_secret_is_logged(
    secured: SecuredKafka,
    make_pipeline: Callable[[str], Pipeline],
    source: Path,
    mechanism: str,
) -> None:
    pipeline = make_pipeline(secured.bootstrap)
    secured.tokens.lifetime_s = 600
    secured.grant(pipeline.prefix, {service: service for service in SERVICES})
    common = {"SPLIT_BY": "Sex", "LOG_LEVEL": "debug", "EXIT_WHEN_DONE": "true", "ONCE": "true", "INPUT": str(source)}
    services = [pipeline.start(name, **common, **secured.settings(mechanism, name)) for name in SERVICES]
    pipeline.finish(*services, deadline_s=START_DEADLINE_S)
    pipeline.check_files(expected_files(source.read_bytes(), [ABALONE["Sex"]]))
    for service in services:
        log = service.log()
        # The only trace of authentication in a log: finding it shows that the library's own lines are searched too.
        assert mechanism == "SSL" or "SaslAuthenticateRequest" in log
        assert secrets_in(log, secured, service.name) == []


@pytest.mark.timeout(400)
def test_services_go_on_with_the_certificates_of_another_authority_once_the_broker_takes_no_others(
    tmp_path: Path, make_pipeline: Callable[[str], Pipeline], source: Path
) -> None:
    with SecuredKafka(tmp_path) as secured:
        pipeline = make_pipeline(secured.bootstrap)
        secured.grant(pipeline.prefix, {service: service for service in SERVICES})
        common = {"SPLIT_BY": "Sex", "INPUT": str(source)}
        services = [pipeline.start(name, **common, **secured.settings("SSL", name)) for name in SERVICES]
        pipeline.wait_for_files(expected_files(source.read_bytes(), [ABALONE["Sex"]]), START_DEADLINE_S)
        secured.kafka.stop()
        secured.change_authority()
        for service in services:
            # Writes the files that the service was started with.
            secured.settings("SSL", service.name)
        secured.start()
        with source.open("ab") as file:
            file.writelines(ABALONE_FILE.read_bytes().splitlines(keepends=True)[ROWS + 1 :])
        pipeline.wait_for_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]), START_DEADLINE_S)
        for service in services:
            assert service.stop()[0] == 0
