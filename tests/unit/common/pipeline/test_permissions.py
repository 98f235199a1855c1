"""Which permissions are needed, which are missing, and how they are granted."""

from common.broker_errors.refusals import GROUP, TOPIC
from common.pipeline.permissions import (
    OPERATIONS,
    ROLES,
    Permission,
    allows,
    explain_missing,
    find_missing,
    on_topics,
    permissions,
)
from common.pipeline.topics import Topics
from ops.acls import grants
from tests.harness.pipeline import PROJECT


def bits(*operations: str) -> int:
    return sum(1 << OPERATIONS[operation] for operation in operations)


def test_bits_say_what_is_allowed_and_a_broker_that_does_not_tell_forbids_nothing() -> None:
    assert allows(bits("Read", "Describe"), "Read")
    assert not allows(bits("Read", "Describe"), "Write")
    assert allows(-(2**31), "Write")


def test_what_is_needed_on_all_topics_is_asked_of_each() -> None:
    asked = list(on_topics(permissions("split", "p."), Topics.under("p.")))
    assert {permission.name for permission in asked if permission.operation == "Read"} == set(Topics.under("p.").names)
    assert {permission.name for permission in asked if permission.operation == "Write"} == {
        "p.categorized",
        "p.rejected",
        "p.schemas",
    }
    assert not any(permission.is_prefix or permission.operation == "Create" for permission in asked)


def test_what_is_missing_is_a_line_for_each_operation() -> None:
    needed = [Permission(TOPIC, name, operation) for operation in ("Read", "Write") for name in ("a", "b", "unknown")]
    missing = find_missing({"a": bits("Read"), "b": bits()}, needed)
    assert explain_missing(missing).splitlines() == [
        "not allowed: Read on Topic b: grant it (`nacre acls` prints how)",
        "not allowed: Write on Topic a, b: grant it (`nacre acls` prints how)",
    ]


def test_one_principal_for_several_roles_gets_each_once_and_no_prefix_is_all_names() -> None:
    found = grants({"ingest": "User:one", "split": "User:one"}, "")
    assert len(found) == len(set(found))
    assert found[0] == ("User:one", TOPIC, "*", False, ("Read", "DescribeConfigs", "Create"))
    rejected = [grant for grant in found if grant.name == "rejected"]
    assert [grant.operations for grant in rejected] == [("Write",)]
    without = grants({"sink": "User:two"}, "p.", may_create=False)
    assert without[0] == ("User:two", TOPIC, "p.", True, ("Read", "DescribeConfigs"))


def test_a_sink_may_write_what_it_has_safe_alone_and_no_service_what_another_does() -> None:
    written = {
        role: {permission.name for permission in permissions(role, "") if permission.operation == "Write"}
        for role in ("ingest", "split", "sink")
    }
    assert written["sink"] == {"shares", "receipts"}
    assert written["ingest"] & written["split"] == {"rejected", "schemas"}


def test_an_operator_may_look_at_every_group_and_join_none() -> None:
    on_groups = [str(each) for each in permissions("operator", "p.") if each.resource == GROUP]
    assert on_groups == ["Describe Group p.ingest", "Describe Group p.split", "Describe Group p.sink"]


def test_the_page_on_security_names_every_resource() -> None:
    page = (PROJECT / "docs" / "security.md").read_text()
    for role in ROLES:
        for permission in permissions(role, "nacre."):
            name = f"{permission.name}{'*' if permission.is_prefix else ''}"
            assert f"`{name}`" in page, (role, str(permission))
