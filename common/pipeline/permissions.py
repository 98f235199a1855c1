"""What each service does with the broker's resources: the operations that a broker with access control has to allow it.

`nacre acls` grants these, each service checks them when it begins, and docs/security.md says what each is for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.broker_errors.refusals import GROUP, TOPIC, TRANSACTIONAL_ID, not_allowed
from common.pipeline.topics import Topics

# Kafka's numbers, by which it also tells what a user may do: as bits (KIP-430).
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}

# Those that say what a pipeline is begun with, in the topic of the schemas.
BEGINNERS = frozenset({"ingest", "split"})


@dataclass(frozen=True, slots=True)
class Permission:
    """An operation on the resource with this name, or with `is_prefix` on all whose names begin with it."""

    resource: str
    name: str
    operation: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.operation} {self.resource} {self.name}{'*' if self.is_prefix else ''}"


@dataclass(frozen=True, slots=True)
class _Role:
    """What it does beside reading every topic, and their configurations; all names are behind the prefix."""

    writes: tuple[str, ...] = ()
    # Transactional ids: those of one producer a partition begin so; the others are shared by all replicas.
    producers: tuple[str, ...] = ()
    producer: tuple[str, ...] = ()
    joins: tuple[str, ...] = ()
    looks_at: tuple[str, ...] = ()
    creates: bool = True


_ROLES = {
    "ingest": _Role(
        writes=("rows", "rejected", "schemas", "progress", "sources"),
        producers=("ingest-",),
        # Of the topics that all replicas write, each on top of the others.
        producer=("schemas", "sources"),
        joins=("ingest",),
    ),
    "split": _Role(
        writes=("categorized", "rejected", "schemas"), producers=("split-",), producer=("schemas",), joins=("split",)
    ),
    # With EXIT_WHEN_DONE it looks whether split has carried everything.
    "sink": _Role(joins=("sink",), looks_at=("split",)),
    # Who calls `nacre validate` and `nacre rejected`, which asks what splits there are.
    "operator": _Role(writes=("rows", "rejected"), producer=("replay",), looks_at=("split",), creates=False),
}
ROLES = tuple(_ROLES)


def permissions(role: str, prefix: str) -> list[Permission]:
    """All that a service, or an operator, needs, and no more. Create is for topics that nobody else has made."""
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
    """What is needed on topics that exist, topic by topic."""
    for permission in needed:
        if permission.resource != TOPIC or permission.operation == "Create":
            continue
        if permission.is_prefix:
            yield from (Permission(TOPIC, name, permission.operation) for name in topics.names)
        else:
            yield permission


def allows(bits: int, operation: str) -> bool:
    """Whether a user may do this, by the bits that a broker tells of a resource; below 0 it does not tell."""
    return bits < 0 or bool(bits >> OPERATIONS[operation] & 1)


def explain_missing(missing: Sequence[Permission]) -> str:
    """One line for each operation and kind of resource."""
    names: dict[tuple[str, str], list[str]] = {}
    for permission in missing:
        names.setdefault((permission.operation, permission.resource), []).append(permission.name)
    return "\n".join(not_allowed(operation, resource, *found) for (operation, resource), found in names.items())


def find_missing(bits_by_name: Mapping[str, int], needed: Sequence[Permission]) -> list[Permission]:
    """What is needed and not allowed, by the bits of each resource. Resources without any are left out."""
    return [
        permission
        for permission in needed
        if permission.name in bits_by_name and not allows(bits_by_name[permission.name], permission.operation)
    ]
