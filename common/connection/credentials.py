"""The password or token that authenticates the user, read for each connection: passwords change, tokens end."""

from typing import TYPE_CHECKING

from aiokafka.abc import AbstractTokenProvider
from aiokafka.errors import KafkaConnectionError

from common.connection.secret_files import read_or_last, read_secret
from common.errors import ConfigurationError
from common.settings import ServiceSettings

if TYPE_CHECKING:
    from common.connection.oauth import Tokens


class Credentials(AbstractTokenProvider):  # type: ignore[misc]  # aiokafka has no types
    """The user's password or token. Raises ConfigurationError where a file that holds it could never be read."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._tokens: Tokens | None = None
        self._extensions: dict[str, str] = {}
        if settings.kafka_sasl_mechanism == "OAUTHBEARER":
            # Importing its HTTP client takes a tenth of a start, and most brokers ask for no tokens.
            from common.connection.oauth import tokens_for  # noqa: PLC0415

            self._tokens = tokens_for(settings)
            if settings.kafka_oauth_extensions is not None:
                pairs = settings.kafka_oauth_extensions.split(",")
                self._extensions = dict(pair.split("=", 1) for pair in pairs)
        self._password = "KAFKA_SASL_PASSWORD", settings.kafka_sasl_password, settings.kafka_sasl_password_file

    def last_password(self) -> str | None:
        """The password as it was last read, None where tokens are used."""
        return None if self._tokens is not None else read_or_last(*self._password)

    async def prepare(self, beyond: float = 0.0) -> str | None:
        """Return the password, or fetch a token and return None. Raises KafkaError where there is none now.

        A session ends with its token: for the next session, `beyond` is that end (time.monotonic).
        """
        if self._tokens is not None:
            await self._tokens.token(beyond)
            return None
        try:
            return read_secret(*self._password)
        except ConfigurationError as error:
            # An outage, not a refusal: a file may be missing for an instant while it is replaced.
            raise KafkaConnectionError(str(error)) from None

    async def token(self) -> str:
        """A token that has not ended, for OAUTHBEARER."""
        assert self._tokens is not None  # noqa: S101 - no other mechanism asks for one
        return await self._tokens.token()

    def extensions(self) -> dict[str, str]:
        """The SASL extensions beside the token."""
        return self._extensions

    def refused(self) -> None:
        """Note that the broker refused the token: the next connection brings a new one."""
        if self._tokens is not None:
            self._tokens.forget()
