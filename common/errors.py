"""The errors that a person has to resolve; each message is one line: what, where, what to do."""


class ServiceError(Exception):
    """The service cannot go on. `exit_code` is what it leaves with."""

    exit_code = 1


class ConfigurationError(ServiceError):
    """The service cannot work with these settings, or lacks a permission."""

    exit_code = 78


class RecordTooLargeError(ConfigurationError):
    """A topic accepts no record of this size."""


class SourceError(ServiceError):
    """A source cannot be read any further."""


class TooManyRejectedError(ServiceError):
    """More records of a source were rejected than MAX_REJECTED permits."""


class AllRejectedError(ServiceError):
    """A finite run is done, and every row of a source, or of a split, was rejected: probably a setting is wrong."""

    exit_code = 65


class MissingRecordsError(ServiceError):
    """Records were deleted from a partition before anything in it was read."""

    def __init__(self, service: str, topic: str, partition: int, first: int) -> None:
        super().__init__(
            f"topic {topic}, partition {partition} begins at offset {first}: {first} offsets before it are gone (the "
            f"topic's retention), and none of them was ever read. To begin with what is left: nacre begin {service}"
        )


class LostRecordsError(ServiceError):
    """Records were deleted from a partition before they were read."""

    def __init__(self, topic: str, partition: int, first: int, beginning: int) -> None:
        super().__init__(
            f"topic {topic}, partition {partition}: the records from {first} to {beginning - 1} were deleted before "
            "they were read (the topic's retention is too short): begin again with another TOPIC_PREFIX and another "
            "OUTPUT_DIR"
        )
