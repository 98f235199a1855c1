"""A permission that is taken away from a running service is named, and ends it with 78."""

import re
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

from tests.harness.listeners import USER, Listeners
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline, Service

pytestmark = pytest.mark.long


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


@pytest.mark.parametrize("missing", [(TOPIC, READ), (GROUP, READ)])
@pytest.mark.parametrize("name", SERVICES)
def test_one_that_is_taken_away_from_a_running_service_is_named(
    allowed: Pipeline, listeners: Listeners, missing: Permission, name: str
) -> None:
    service = start(allowed, listeners, name)
    allowed.wait_until(lambda: service.events("ready"), "ready", 90)
    if name == "ingest" and missing == (TOPIC, READ):
        # It only reads when it begins, and to see whether its commits are carried out.
        other = start(allowed, listeners, "ingest")
        allowed.wait_until(lambda: other.events("ready"), "ready", 90)
    forbid(allowed, *missing)
    if name == "ingest" and missing == (TOPIC, READ):
        assert other.stop()[0] == 0
    # Read on a topic includes Describe, and the watch over the topics may be the first to lack it.
    # sink also asks what split has committed.
    groups = f"Read on Group {allowed.prefix}({'split|sink' if name == 'sink' else name})"
    told = "(Read|Describe) on Topic " if missing[0] is TOPIC else groups
    reasons = refused(service)
    assert all(re.search(f"not allowed: {told}", reason) for reason in reasons), reasons
