"""What the text of a setting becomes, and what is said of one that it cannot be."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import ConfigurationError
from common.setting import Secret, setting, settings_of, shown, value_of
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from tests.harness.setting_names import names_of


def _upper(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text.upper()


@dataclass(frozen=True, kw_only=True)
class Model(ServiceSettings):
    needed: str = setting(description="has to be given", check=_upper)
    count: int = setting(1, at_least=0, at_most=10, description="a count")
    share: float = setting(0.5, above=0, description="a share")
    kind: Literal["a", "b"] = setting("a", description="a kind")
    is_on: bool = setting(default=False, description="on or off")
    path: Path | None = setting(None, description="a path")
    secret: Secret | None = setting(None, description="a secret")
    word: str = setting("x", pattern="[a-z]{1,3}", description="a word")


BY_NAME = {each.name: each for each in settings_of(Model)}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("needed", "word", "WORD"),
        ("count", "10", 10),
        ("count", "10.0", 10),
        ("share", "1e-3", 0.001),
        ("share", "7", 7.0),
        ("share", "1.0", 1.0),
        ("share", ".50", 0.5),
        ("kind", "b", "b"),
        *(("is_on", text, True) for text in ("true", "True", "1", "yes", "ON")),
        *(("is_on", text, False) for text in ("false", "0", "no", "off")),
        ("path", "a/b", Path("a/b")),
        # No word stands for nothing.
        ("path", "None", Path("None")),
    ],
)
def test_a_text_becomes_a_value(name: str, text: str, value: object) -> None:
    found = value_of(BY_NAME[name], text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("needed", "", "NEEDED '': it is empty"),
        ("count", "-1", "COUNT '-1': at least 0"),
        ("count", "11", "COUNT '11': at most 10"),
        ("count", "9" * 400, f"COUNT '{'9' * 299}…: at most 10"),
        ("count", "1.5", "COUNT '1.5': it has to be a whole number"),
        ("share", "0", "SHARE '0': more than 0"),
        ("share", ".0", "SHARE '.0': more than 0"),
        ("share", "1.0.0", "SHARE '1.0.0': it has to be a number"),
        ("count", ".0", "COUNT '.0': it has to be a whole number"),
        ("share", "nan", "SHARE 'nan': it has to be a number"),
        ("share", "inf", "SHARE 'inf': it has to be a number"),
        ("share", "1e10", "SHARE '1e10': at most 1000000000"),
        ("kind", "c", "KIND 'c': there are a, b"),
        ("is_on", "maybe", "IS_ON 'maybe': there are true and false"),
        ("word", "ab\n", "WORD 'ab\\n': it has to match [a-z]{1,3}"),
        ("path", "\udcff", "PATH '\\udcff': not UTF-8"),
        ("secret", "hunter2\udcff", "SECRET: not UTF-8"),
    ],
)
def test_what_a_setting_cannot_be_is_one_line_that_says_what_it_may_be(name: str, text: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_settings(Model, {"needed": "x", name: text})
    assert str(raised.value) == said


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        make_settings(Model, {"count": "x", "kind": "c"})
    assert str(raised.value) == (
        "NEEDED is not set (or --needed); --help explains it; COUNT 'x': it has to be a whole number; "
        "KIND 'c': there are a, b"
    )


def test_a_secret_is_shown_nowhere() -> None:
    made = make_settings(Model, {"needed": "x", "secret": "hunter2"})
    assert made.secret is not None
    assert made.secret.reveal() == "hunter2"
    assert "hunter2" not in repr(made) + str(shown(made))
    assert "secret" in shown(made)
    assert "path" not in shown(made)


def test_a_models_own_settings_follow_those_of_every_service() -> None:
    assert names_of(Model)[: len(names_of(ServiceSettings))] == names_of(ServiceSettings)
    assert names_of(Model)[-1] == "word"


@given(st.sampled_from(sorted(BY_NAME)), st.text())
def test_any_text_is_a_value_or_a_wrong_one(name: str, text: str) -> None:
    try:
        value = value_of(BY_NAME[name], text)
    except ValueError:
        return
    if isinstance(value, float):
        assert math.isfinite(value)


@pytest.mark.parametrize(
    ("given_text", "seen"),
    [
        ("https://me:hunter2@login.example/token", "https://**********@login.example/token"),
        ("https://me:hun/ter#2?@login.example/token", "https://**********@login.example/token"),
        ("https://me:hun@ter2@login.example/token", "https://**********@login.example/token"),
        ("https://me:hunter2@login.example/token?a=b@c", "https://**********@c"),
        ("me:hunter2@login.example/token", "**********@login.example/token"),
        ("me:hun ter\n2@login.example/token", "**********@login.example/token"),
        ("https://login.example/token?a=b", "https://login.example/token?a=b"),
        ("me@example", "me@example"),
    ],
)
def test_user_and_password_in_an_address_are_not_shown(given_text: str, seen: str) -> None:
    settings = make_settings(ServiceSettings, {"kafka_oauth_token_endpoint": given_text})
    assert shown(settings)["kafka_oauth_token_endpoint"] == seen
    assert settings.kafka_oauth_token_endpoint == given_text
