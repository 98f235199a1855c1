"""Secrets, from a setting or from the file that another setting names."""

from pathlib import Path

from common.errors import ConfigurationError
from common.setting import Secret

# What each file held when it was last read.
_last: dict[Path, str] = {}


def read_secret(setting: str, value: Secret | None, path: Path | None) -> str | None:
    """The secret as it is now; None where neither is set.

    ConfigurationError, which never holds the secret, where it cannot be read.
    """
    if value is not None:
        return _checked(setting, value.reveal())
    if path is None:
        return None
    try:
        secret = path.read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise ConfigurationError(f"{setting}_FILE {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"{setting}_FILE {path}: not UTF-8") from None
    return secret


def read_or_last(setting: str, value: Secret | None, path: Path | None) -> str | None:
    """The secret as it is now, or as it was last read if its file is missing, as files are while they are replaced.

    ConfigurationError, which never holds the secret, where it could never be read.
    """
    try:
        secret = read_secret(setting, value, path)
    except ConfigurationError:
        if path is None or path not in _last:
            raise
        return _last[path]
    if path is not None and secret is not None:
        _last[path] = secret
    return secret


def _checked(setting: str, secret: str) -> str:
    try:
        secret.encode()
    except UnicodeEncodeError:
        # The error itself holds the secret.
        raise ConfigurationError(f"{setting}: not UTF-8") from None
    return secret
