"""What proves the user to a broker, as it is when a connection asks: passwords change, and tokens end."""

from typing import TYPE_CHECKING

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from common.connection.secret_files import read_secret
from common.errors import ConfigurationError
from common.settings import ServiceSettings

if TYPE_CHECKING:
    from common.connection.oauth import Tokens


class Credentials(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """The user's password or token. ConfigurationError, at once, where a file that holds it cannot be read."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._tokens: Tokens | None = None
        self._extensions: dict[str, str] = {}
        if settings.kafka_sasl_mechanism == "OAUTHBEARER":
            # Its HTTP client takes a tenth of a start to import, and most brokers ask for no tokens.
            from common.connection.oauth import tokens_for  # noqa: PLC0415

            self._tokens = tokens_for(settings)
            if settings.kafka_oauth_extensions is not None:
                pairs = settings.kafka_oauth_extensions.split(",")
                self._extensions = dict(pair.split("=", 1) for pair in pairs)
        else:
            self.password()

    def password(self) -> str | None:
        """The password; None where tokens are used."""
        if self._tokens is not None:
            return None
        settings = self._settings
        return read_secret("KAFKA_SASL_PASSWORD", settings.kafka_sasl_password, settings.kafka_sasl_password_file)

    async def prepare(self, beyond: float = 0.0) -> str | None:
        """Have a token at hand, or the password, which is returned. KafkaError where there is none now.

        The token that a session began with ends with it: for the next, `beyond` is when that is (time.monotonic).
        """
        if self._tokens is not None:
            await self._tokens.token(beyond)
        try:
            return self.password()
        except ConfigurationError as error:
            # Only for now: while it is changed a file may be away for an instant.
            raise KafkaConnectionError(str(error)) from None

    async def token(self) -> str:
        """A token that has not ended, for OAUTHBEARER."""
        assert self._tokens is not None  # noqa: S101 - no other mechanism asks for one
        return await self._tokens.token()

    def extensions(self) -> dict[str, str]:
        """The SASL extensions beside the token."""
        return self._extensions

    def refused(self) -> None:
        """The broker does not take the token: the next connection brings a new one."""
        if self._tokens is not None:
            self._tokens.forget()
