"""The names of a service's settings."""

from typing import Any

from common.setting import settings_of


def names_of(model: Any) -> list[str]:
    """In their order."""
    return [each.name for each in settings_of(model)]
