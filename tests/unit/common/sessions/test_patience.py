"""For how long a refusal is borne."""

from pathlib import Path
from typing import Any

import pytest

from common.broker_errors.kinds import ErrorKind
from common.errors import ConfigurationError, ServiceError
from common.sessions.diagnosis import Diagnosis
from common.sessions.patience import Patience
from common.settings import ServiceSettings
from common.settings_reader import make_settings

SETTINGS = make_settings(ServiceSettings, {})


def tries_until_it_ends(kinds: list[ErrorKind], apart_s: float, settings: ServiceSettings = SETTINGS) -> int | None:
    """After how many failures, so far apart, it is given up; None if it is not."""
    patience = Patience(settings)
    for number, kind in enumerate(kinds):
        try:
            patience.take(Diagnosis(kind, "why"), number * apart_s)
        except ServiceError:
            return number + 1
    return None


WAITS, REFUSED = ErrorKind.WAITS, ErrorKind.REFUSED
REFUSED_IF_IT_LASTS, BROKEN_IF_IT_LASTS = ErrorKind.REFUSED_IF_IT_LASTS, ErrorKind.BROKEN_IF_IT_LASTS


@pytest.mark.parametrize(
    ("kinds", "apart_s", "tries"),
    [
        ([WAITS] * 100, 100.0, None),
        ([WAITS, REFUSED], 0.0, 2),
        ([REFUSED_IF_IT_LASTS] * 9, 4.0, 6),
        ([REFUSED_IF_IT_LASTS] * 9, 60.0, 5),
        ([BROKEN_IF_IT_LASTS] * 9, 5.0, 5),
        # A broker that is away in between begins the count again.
        ([*[REFUSED_IF_IT_LASTS] * 4, WAITS] * 3, 60.0, None),
    ],
)
def test_a_refusal_is_given_up_after_five_tries_and_twenty_seconds(
    kinds: list[ErrorKind], apart_s: float, tries: int | None
) -> None:
    assert tries_until_it_ends(kinds, apart_s) == tries


@pytest.mark.parametrize(
    ("kind", "error"), [(REFUSED_IF_IT_LASTS, ConfigurationError), (BROKEN_IF_IT_LASTS, ServiceError)]
)
def test_it_ends_as_what_it_is(kind: ErrorKind, error: type[ServiceError]) -> None:
    patience = Patience(SETTINGS)
    for at_s in range(4):
        patience.take(Diagnosis(kind, "why"), at_s)
    with pytest.raises(ServiceError, match=r"^why \(tried 5 times in 60 s\)$") as raised:
        patience.take(Diagnosis(kind, "why"), 60.0)
    assert type(raised.value) is error


def test_a_password_in_a_file_has_longer(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    settings: dict[str, Any] = {"kafka_sasl_password_file": file, "kafka_security_protocol": "SASL_PLAINTEXT"}
    settings |= {"kafka_sasl_mechanism": "PLAIN", "kafka_sasl_username": "alice"}
    assert tries_until_it_ends([REFUSED_IF_IT_LASTS] * 99, 10.0, make_settings(ServiceSettings, settings)) == 10
