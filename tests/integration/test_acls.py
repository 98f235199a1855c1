"""A broker that denies what is not granted: what `nacre acls` grants is enough, and each part of it is needed."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # they are in their manual
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from common.pipeline.permissions import Permission, permissions
from ops import acls
from tests.harness.expectation import ABALONE, expected_files
from tests.harness.kafka_acls import write_kafka_acls
from tests.harness.pipeline import ABALONE_FILE, PROJECT, SERVICES, Pipeline, Service, wait_until
from tests.harness.secured import SecuredKafka

# Apart from others that share the secured broker: these alone have it at work for minutes.
pytestmark = [pytest.mark.long, pytest.mark.xdist_group("acls")]


USER = "denied"
DEADLINE_S = 100.0
_RESOURCES = {
    "Topic": ResourceType.TOPIC,
    "Group": ResourceType.GROUP,
    "TransactionalId": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Create": AclOperation.CREATE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


def allow(pipeline: Pipeline, allowed: Sequence[Permission]) -> None:
    """Set ACLs by another client's means."""
    bindings = [
        AclBinding(
            _RESOURCES[permission.resource],
            permission.name,
            ResourcePatternType.PREFIXED if permission.is_prefix else ResourcePatternType.LITERAL,
            f"User:{USER}",
            "*",
            _OPERATIONS[permission.operation],
            AclPermissionType.ALLOW,
        )
        for permission in allowed
    ]
    for done in pipeline.observer.admin.create_acls(bindings).values():
        done.result(DEADLINE_S)


def begin(secured: SecuredKafka, pipeline: Pipeline, name: str, **settings: str) -> Service:
    source = {"ingest": {"INPUT": str(ABALONE_FILE)}, "split": {"SPLIT_BY": "Sex"}, "sink": {}}[name]
    return pipeline.start(name, **{**secured.settings("PLAIN", USER), **source, **settings})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", SERVICES)
def test_each_permission_that_is_taken_away_is_named(
    secured: SecuredKafka, make_pipeline: Callable[[str], Pipeline], name: str
) -> None:
    cases: dict[str, tuple[Permission, Service]] = {}
    for number in range(len(permissions(name, ""))):
        pipeline = make_pipeline(secured.bootstrap)
        needed = permissions(name, pipeline.prefix)
        taken = needed.pop(number)
        allow(pipeline, needed)
        cases[str(taken)] = taken, begin(secured, pipeline, name)
    for taken, service in cases.values():
        assert service.wait_for_exit(DEADLINE_S) == 78, (taken, service.log())
        [error] = service.events("cannot go on")
        assert f"{taken.operation} on {taken.resource} {taken.name}" in error["reason"]
        assert "\n" not in error["reason"]
        assert service.events("ready") == []


@pytest.mark.timeout(300)
def test_nothing_granted_is_one_line_for_each_operation(
    secured: SecuredKafka, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(secured.bootstrap)
    ingest = begin(secured, pipeline, "ingest")
    assert ingest.wait_for_exit(DEADLINE_S) == 78
    told = "".join(error["reason"] + "\n" for error in ingest.events("cannot go on")).splitlines()
    assert [line.split(" test-")[0] for line in told] == [
        "not allowed: Read on Topic",
        "not allowed: Write on Topic",
        "not allowed: Read on Group",
        "not allowed: Write on TransactionalId",
    ]


@pytest.mark.timeout(300)
def test_create_is_not_needed_where_the_topics_are_there(
    secured: SecuredKafka, make_pipeline: Callable[[str], Pipeline]
) -> None:
    pipeline = make_pipeline(secured.bootstrap)
    secured.grant(pipeline.prefix, {"sink": "sink"})
    secured.grant(pipeline.prefix, {"sink": USER}, no_create=True)
    first = pipeline.start("sink", **secured.settings("PLAIN", "sink"))
    wait_until(lambda: first.events("ready"), "sink is ready", DEADLINE_S)
    assert first.stop()[0] == 0
    second = begin(secured, pipeline, "sink")
    wait_until(lambda: second.events("ready"), "sink is ready without Create", DEADLINE_S)
    assert second.stop()[0] == 0


@pytest.mark.timeout(300)
def test_an_operator_may_validate_replay_and_see_the_status_with_what_is_granted(
    secured: SecuredKafka, make_pipeline: Callable[[str], Pipeline], tmp_path: Path
) -> None:
    source = tmp_path / "source.csv"
    source.write_bytes(b"Sex,Rings\nM,1\nF,x\n")
    pipeline = make_pipeline(secured.bootstrap)
    pipeline.run(source, "Rings:int")
    secured.grant(pipeline.prefix, {"operator": USER})

    def nacre(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops", *map(str, arguments)],
            cwd=PROJECT,
            env={**os.environ, **secured.settings("PLAIN", USER), "TOPIC_PREFIX": pipeline.prefix},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    # Two of them give a broker five seconds to answer, which a machine at its limit does not always keep to.
    wait_until(lambda: "all 8 topics" in nacre("validate", source).stdout, "it may validate", DEADLINE_S)
    wait_until(lambda: nacre("status").returncode == 0, "it may see the status", DEADLINE_S)
    wait_until(lambda: nacre("rejected", "replay", "--yes").returncode == 0, "it may replay", DEADLINE_S)


def test_the_script_passes_each_acl_to_kafkas_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert acls.main(["--ingest", "User:CN=it's ours,O=x", "--sink", "User:sink"]) == 0
    script = tmp_path / "acls.sh"
    script.write_text(capsys.readouterr().out)
    command = tmp_path / "kafka-acls.sh"
    command.write_text('#!/bin/sh\nprintf "%s|" "$@"\necho\n')
    command.chmod(0o755)
    ran = subprocess.run(
        ["sh", str(script), "--bootstrap-server", "b:1"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = ran.stdout.splitlines()
    assert lines[0] == (
        "--bootstrap-server|b:1|--add|--allow-principal|User:CN=it's ours,O=x|--operation|Read|--operation|"
        "DescribeConfigs|--operation|Create|--topic|nacre.|--resource-pattern-type|prefixed|"
    )
    assert lines[-1] == (
        "--bootstrap-server|b:1|--add|--allow-principal|User:sink|--operation|Describe|--group|nacre.split|"
        "--resource-pattern-type|literal|"
    )
    without_broker = subprocess.run(["sh", str(script)], capture_output=True, text=True, check=False)
    assert without_broker.returncode != 0
    assert "usage: sh acls.sh --bootstrap-server" in without_broker.stderr


@pytest.mark.timeout(600)
def test_the_script_run_by_kafkas_own_command_sets_what_the_services_need_and_nothing_else(
    secured: SecuredKafka,
    make_pipeline: Callable[[str], Pipeline],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pipeline = make_pipeline(secured.bootstrap)
    monkeypatch.setenv("TOPIC_PREFIX", pipeline.prefix)
    capsys.readouterr()
    assert acls.main([word for name in SERVICES for word in (f"--{name}", f"User:{name}")]) == 0
    script = tmp_path / "acls.sh"
    script.write_text(capsys.readouterr().out)
    subprocess.run(
        ["sh", str(script), "--bootstrap-server", secured.bootstrap],
        env={**os.environ, "KAFKA_ACLS": str(write_kafka_acls(tmp_path))},
        capture_output=True,
        check=True,
        timeout=500,
    )
    # Another test shows that each of these is needed.
    needed = {
        (f"User:{name}", _RESOURCES[each.resource], each.name, each.is_prefix, _OPERATIONS[each.operation])
        for name in SERVICES
        for each in permissions(name, pipeline.prefix)
    }
    assert bindings_of(pipeline) == needed
    settings = {"INPUT": str(ABALONE_FILE), "ONCE": "true", "SPLIT_BY": "Sex", "EXIT_WHEN_DONE": "true"}
    services = [pipeline.start(name, **secured.settings("PLAIN", name), **settings) for name in SERVICES]
    pipeline.finish(*services)
    pipeline.check_files(expected_files(ABALONE_FILE.read_bytes(), [ABALONE["Sex"]]))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("service", ["split", "sink"])
def test_begin_is_allowed_to_the_services_user_and_names_what_others_lack(
    secured: SecuredKafka, make_pipeline: Callable[[str], Pipeline], service: str
) -> None:
    pipeline = make_pipeline(secured.bootstrap)
    pipeline.finish(pipeline.start("ingest", str(ABALONE_FILE), ONCE="true"))
    secured.grant(pipeline.prefix, {service: service, "operator": USER})
    place = f"{pipeline.prefix}{'rows' if service == 'split' else 'categorized'}:0:0"

    def begin(user: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "ops", "begin", service, place],
            cwd=PROJECT,
            env={**os.environ, **secured.settings("PLAIN", user), "TOPIC_PREFIX": pipeline.prefix},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    wait_until(lambda: begin(service).returncode == 0, f"{service}'s user may", DEADLINE_S)
    answer = begin(USER)
    assert (answer.returncode, answer.stdout) == (78, "")
    assert f"not allowed: Read on Group {pipeline.prefix}{service}: grant it" in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def bindings_of(pipeline: Pipeline) -> set[tuple[str, ResourceType, str, bool, AclOperation]]:
    """Who may do what, on names that begin with the pipeline's prefix."""
    anything: Any = None
    kinds = ResourcePatternType.ANY, AclOperation.ANY, AclPermissionType.ANY
    every = AclBindingFilter(ResourceType.ANY, anything, kinds[0], anything, anything, *kinds[1:])
    return {
        (
            each.principal,
            each.restype,
            each.name,
            each.resource_pattern_type == ResourcePatternType.PREFIXED,
            each.operation,
        )
        for each in pipeline.observer.admin.describe_acls(every).result(DEADLINE_S)
        if each.name.startswith(pipeline.prefix)
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name a principal: --ingest User:NAME"),
        (["--sink", "bob"], "'bob' is not a principal such as User:alice"),
    ],
)
def test_wrong_arguments_are_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert acls.main(arguments) == 78
    [line] = capsys.readouterr().err.splitlines()
    assert told in line


def test_a_broker_without_access_control_is_told(
    bootstrap: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", bootstrap)
    assert acls.main(["--sink", "User:sink", "--apply"]) == 78
    assert "the broker has no access control" in capsys.readouterr().err
