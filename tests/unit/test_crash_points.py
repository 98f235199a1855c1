"""Every step at which a service can be made to die is there under the name that the crash points have for it."""

import importlib

import pytest

from tests.harness.chaos.crash_points import POINTS


@pytest.mark.parametrize(
    ("service", "target"), [(service, point.target) for point in POINTS for service in point.services]
)
def test_every_crash_point_s_target_exists(service: str, target: str) -> None:
    module, _, path = target.format(service=service).partition(":")
    # As in a service that dies: what is wrapped are the names in its own modules.
    importlib.import_module(f"services.{service}.service")
    owner = importlib.import_module(module)
    for name in path.split("."):
        owner = getattr(owner, name)
    assert callable(owner)
