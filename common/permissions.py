"""What each service does with the broker's resources: the operations that a broker with access control has to allow it.

`nacre acls` grants these, each service checks them when it begins, and docs/security.md says what each is for.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from common.topics import Groups, Topics

TOPIC, GROUP, TRANSACTIONAL_ID = "Topic", "Group", "TransactionalId"

# Kafka's numbers, by which it also tells what a user may do: as bits (KIP-430).
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10}

# The topics that a service writes; all services read all of them, or look at their configurations.
_WRITTEN = {
    "ingest": ("rows", "rejected", "schemas", "progress", "sources"),
    "split": ("categorized", "rejected", "schemas"),
    "sink": (),
}
# Those that say what a pipeline is begun with, in the topic of the schemas.
BEGINNERS = frozenset({"ingest", "split"})
# The topics with a producer of their own, which all replicas share; its transactional id is the topic's name.
_FENCED = {"ingest": ("schemas", "sources"), "split": ("schemas",), "sink": ()}
# Those with one producer a partition: what their ids begin with.
_PRODUCERS = {"ingest": "ingest-", "split": "split-", "sink": ""}


@dataclass(frozen=True, slots=True)
class Permission:
    """An operation on the resource with this name, or with `is_prefix` on all whose names begin with it."""

    resource: str
    name: str
    operation: str
    is_prefix: bool = False

    def __str__(self) -> str:
        return f"{self.operation} {self.resource} {self.name}{'*' if self.is_prefix else ''}"


def permissions(service: str, prefix: str) -> list[Permission]:
    """All that a service needs: no more, and none of them is optional.

    Create is, where the topics are made by somebody else.
    """
    groups = Groups.under(prefix)
    needed = [
        Permission(TOPIC, prefix, operation, is_prefix=True) for operation in ("Read", "DescribeConfigs", "Create")
    ]
    needed += [Permission(TOPIC, prefix + topic, "Write") for topic in _WRITTEN[service]]
    if _PRODUCERS[service]:
        needed.append(Permission(TRANSACTIONAL_ID, prefix + _PRODUCERS[service], "Write", is_prefix=True))
    needed += [Permission(TRANSACTIONAL_ID, prefix + topic, "Write") for topic in _FENCED[service]]
    needed.append(Permission(GROUP, getattr(groups, service), "Read"))
    if service == "sink":
        # With EXIT_WHEN_DONE it looks whether split has carried everything.
        needed.append(Permission(GROUP, groups.split, "Describe"))
    return needed


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
    return "\n".join(explain_denied(operation, resource, *found) for (operation, resource), found in names.items())


def explain_denied(operation: str, resource: str, *names: str) -> str:
    """That the user may not do this, and what to do."""
    shown = f"{resource} {', '.join(names)}"
    return f"this user may not {operation} {shown}: grant it (`nacre acls` prints how)"


def find_missing(bits_by_name: Mapping[str, int], needed: Sequence[Permission]) -> list[Permission]:
    """What is needed and not allowed, by the bits of each resource. Resources without any are left out."""
    return [
        permission
        for permission in needed
        if permission.name in bits_by_name and not allows(bits_by_name[permission.name], permission.operation)
    ]
