import tomllib

from common.version import VERSION
from tests.harness.pipeline import PROJECT


def test_the_code_and_the_package_say_the_same_version() -> None:
    assert tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["version"] == VERSION
