"""A permission that is missing is named, with its resource and operation, and ends a service with 78."""

from collections.abc import Callable, Iterable

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are in their manual
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from tests.integration.listeners import USER, Listeners
from tests.integration.pipeline import ABALONE_FILE, SERVICES, Pipeline, Service

_ANSWER_S = 30.0
TOPIC, GROUP, ID = ResourceType.TOPIC, ResourceType.GROUP, ResourceType.TRANSACTIONAL_ID
READ, WRITE, CREATE = AclOperation.READ, AclOperation.WRITE, AclOperation.CREATE
Permission = tuple[ResourceType, AclOperation]
ALL: tuple[Permission, ...] = (
    (TOPIC, READ),
    (TOPIC, WRITE),
    (TOPIC, CREATE),
    (TOPIC, AclOperation.DESCRIBE_CONFIGS),
    (GROUP, READ),
    (ID, WRITE),
)


def allow(pipeline: Pipeline, permissions: Iterable[Permission]) -> None:
    """Give the user these permissions for all under the pipeline's prefix."""
    acls = [
        AclBinding(
            resource,
            pipeline.prefix,
            ResourcePatternType.PREFIXED,
            f"User:{USER}",
            "*",
            operation,
            AclPermissionType.ALLOW,
        )
        for resource, operation in permissions
    ]
    for done in pipeline.observer.admin.create_acls(acls).values():
        done.result(_ANSWER_S)


def forbid(pipeline: Pipeline, resource: ResourceType, operation: AclOperation) -> None:
    """Take one away."""
    acl = AclBindingFilter(
        resource,
        pipeline.prefix,
        ResourcePatternType.PREFIXED,
        f"User:{USER}",
        "*",
        operation,
        AclPermissionType.ALLOW,
    )
    for done in pipeline.observer.admin.delete_acls([acl]).values():
        done.result(_ANSWER_S)


@pytest.fixture
def allowed(listeners: Listeners, make_pipeline: Callable[[str], Pipeline]) -> Pipeline:
    """A pipeline whose topics are there and hold rows; its observer may do everything."""
    pipeline = make_pipeline(listeners.at("PLAINTEXT")["KAFKA_BOOTSTRAP_SERVERS"])
    allow(pipeline, ALL)
    return pipeline


def start(pipeline: Pipeline, listeners: Listeners, name: str) -> Service:
    return pipeline.start(name, INPUT=str(ABALONE_FILE), SPLIT_BY="Sex", **listeners.sasl("SASL"))


def refused(service: Service) -> list[str]:
    assert service.wait_for_exit(90) == 78
    return [line["reason"] for line in service.events("cannot go on")]


def test_with_all_of_them_every_service_is_at_work(allowed: Pipeline, listeners: Listeners) -> None:
    services = [start(allowed, listeners, name) for name in SERVICES]
    for service in services:
        allowed.wait_until(lambda service=service: service.events("ready"), "ready", 90)  # type: ignore[misc]
    allowed.wait_for_size(1, 90)


@pytest.mark.parametrize(
    ("missing", "name", "told"),
    [
        ((TOPIC, CREATE), "ingest", "cannot be created: not allowed: Create on Topic {prefix}"),
        ((TOPIC, READ), "ingest", "not allowed: Read on Topic {prefix}"),
        ((TOPIC, READ), "split", "not allowed: Read on Topic {prefix}"),
        ((TOPIC, READ), "sink", "not allowed: Read on Topic {prefix}"),
        ((TOPIC, WRITE), "ingest", "not allowed: Write on Topic {prefix}"),
        ((TOPIC, WRITE), "split", "not allowed: Write on Topic {prefix}"),
        ((GROUP, READ), "ingest", "not allowed: Read on Group {prefix}ingest"),
        ((GROUP, READ), "split", "not allowed: Read on Group {prefix}split"),
        ((GROUP, READ), "sink", "not allowed: Read on Group {prefix}sink"),
        ((ID, WRITE), "ingest", "not allowed: Write on TransactionalId {prefix}"),
        ((ID, WRITE), "split", "not allowed: Write on TransactionalId {prefix}split-{prefix}rows-"),
    ],
    ids=lambda value: value if isinstance(value, str) and "{" not in value else None,
)
def test_each_that_is_missing_is_named(
    allowed: Pipeline, listeners: Listeners, missing: Permission, name: str, told: str
) -> None:
    if missing != (TOPIC, CREATE):
        first = start(allowed, listeners, "ingest")
        allowed.wait_until(lambda: sum(allowed.observer.ends("rows", committed=True)), "rows are there", 90)
        assert first.stop()[0] == 0
    forbid(allowed, *missing)
    reasons = refused(start(allowed, listeners, name))
    assert all(told.format(prefix=allowed.prefix) in reason for reason in reasons), reasons
    assert all(reason.endswith(". Add an ACL that allows it") for reason in reasons)


@pytest.mark.parametrize("missing", [(TOPIC, READ), (GROUP, READ)])
@pytest.mark.parametrize("name", SERVICES)
def test_one_that_is_taken_away_from_a_running_service_is_named(
    allowed: Pipeline, listeners: Listeners, missing: Permission, name: str
) -> None:
    service = start(allowed, listeners, name)
    allowed.wait_until(lambda: service.events("ready"), "ready", 90)
    if name == "ingest" and missing == (TOPIC, READ):
        # It reads when it begins, and whether its commits are carried out, only.
        other = start(allowed, listeners, "ingest")
        allowed.wait_until(lambda: other.events("ready"), "ready", 90)
    forbid(allowed, *missing)
    if name == "ingest" and missing == (TOPIC, READ):
        assert other.stop()[0] == 0
    kind, what = ("Topic", "") if missing[0] is TOPIC else ("Group", name)
    reasons = refused(service)
    assert all(f"not allowed: Read on {kind} {allowed.prefix}{what}" in reason for reason in reasons), reasons
