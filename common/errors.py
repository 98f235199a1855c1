"""The errors that a person has to mend; each message is one line: what, where, what to do."""


class ServiceError(Exception):
    """The service cannot go on. `exit_code` is what it leaves with."""

    exit_code = 1


class ConfigurationError(ServiceError):
    """What was asked for cannot be done as it is set."""

    exit_code = 78


class SourceError(ServiceError):
    """A source cannot be read on."""


class TooManyRejectedError(ServiceError):
    """More of a source were rejected than MAX_REJECTED allows."""


class LostRecordsError(ServiceError):
    """Records were deleted from a topic before they were read."""

    def __init__(self, topic: str, partition: int, first: int, beginning: int) -> None:
        super().__init__(
            f"topic {topic}, partition {partition}: the records from {first} to {beginning - 1} were deleted before "
            "they were read (the topic's retention is too short): begin anew with another TOPIC_PREFIX"
        )
