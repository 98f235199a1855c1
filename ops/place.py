"""Which pipeline a command looks at."""

from common.settings import ServiceSettings


def place_of(settings: ServiceSettings) -> str:
    """The topics' prefix and the broker, for people."""
    return f"{settings.topic_prefix}* at {settings.kafka_bootstrap_servers}"
