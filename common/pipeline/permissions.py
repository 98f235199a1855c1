"""The operations that a broker with access control has to allow each service.

`nacre acls` grants these, each service checks its own when it starts, and docs/security.md says what each is for.
"""

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from common.broker_errors.refusals import GROUP, TOPIC, TRANSACTIONAL_ID, not_allowed
from common.pipeline.topics import Topics

# Kafka's numbers; a broker's answer about what a user may do has a bit for each (KIP-430).
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}

# The services that write what a pipeline is begun with into the topic `schemas`.
BEGINNERS = frozenset({"ingest", "split"})


class Permission(Struct, frozen=True):
    """An operation on the resource with this name, or with `is_prefix` on all whose names begin with it."""

    resource: str
    name: str
    operation: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.operation} {self.resource} {self.name}{'*' if self.is_prefix else ''}"


class _Role(Struct, frozen=True):
    """What a role does besides reading every topic and its configuration. All names come after the prefix."""

    writes: tuple[str, ...] = ()
    # Transactional ids: `producers` are prefixes, with a producer for each partition; all replicas share a `producer`.
    producers: tuple[str, ...] = ()
    producer: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    looks_at: tuple[str, ...] = ()
    creates: bool = True


_ROLES = {
    "ingest": _Role(
        writes=("rows", "rejected", "schemas", "progress", "sources"),
        producers=("ingest-",),
        # For the fenced topics, which all replicas write to.
        producer=("schemas", "sources"),
        joins=("ingest",),
    ),
    "split": _Role(
        writes=("categorized", "rejected", "schemas"), producers=("split-",), producer=("schemas",), joins=("split",)
    ),
    # With EXIT_WHEN_DONE it checks whether split has processed everything.
    "sink": _Role(writes=("shares", "receipts"), joins=("sink",), looks_at=("split",)),
    # The user of `nacre validate` and `nacre rejected`, which look up the splits in use, and of `nacre status`.
    "operator": _Role(
        writes=("rows", "rejected"), producer=("replay",), looks_at=("ingest", "split", "sink"), creates=False
    ),
}
ROLES = tuple(_ROLES)


def permissions(role: str, prefix: str) -> list[Permission]:
    """All that a role needs, and no more. Create is needed only for topics that do not exist yet."""
    has = _ROLES[role]
    of_all = ("Read", "DescribeConfigs", *(("Create",) if has.creates else ()))
    return [
        *(Permission(TOPIC, prefix, operation, is_prefix=True) for operation in of_all),
        *(Permission(TOPIC, prefix + name, "Write") for name in has.writes),
        *(Permission(TRANSACTIONAL_ID, prefix + name, "Write", is_prefix=True) for name in has.producers),
        *(Permission(TRANSACTIONAL_ID, prefix + name, "Write") for name in has.producer),
        *(Permission(GROUP, prefix + name, "Read") for name in has.joins),
        *(Permission(GROUP, prefix + name, "Describe") for name in has.looks_at),
    ]


def on_topics(needed: Sequence[Permission], topics: Topics) -> Iterator[Permission]:
    """The permissions needed on topics that exist, topic by topic."""
    for permission in needed:
        if permission.resource != TOPIC or permission.operation == "Create":
            continue
        if permission.is_prefix:
            yield from (Permission(TOPIC, name, permission.operation) for name in topics.names)
        else:
            yield permission


def allows(bits: int, operation: str) -> bool:
    """Whether a broker's bits for a resource allow this; negative bits, where the broker does not say, allow all."""
    return bits < 0 or bool(bits >> OPERATIONS[operation] & 1)


def explain_missing(missing: Sequence[Permission]) -> str:
    """One line for each operation and kind of resource."""
    names: dict[tuple[str, str], list[str]] = {}
    for permission in missing:
        names.setdefault((permission.operation, permission.resource), []).append(permission.name)
    return "\n".join(not_allowed(operation, resource, *found) for (operation, resource), found in names.items())


def find_missing(bits_by_name: Mapping[str, int], needed: Sequence[Permission]) -> list[Permission]:
    """The needed permissions that the bits of each resource deny. Resources without bits are left out."""
    return [
        permission
        for permission in needed
        if permission.name in bits_by_name and not allows(bits_by_name[permission.name], permission.operation)
    ]
