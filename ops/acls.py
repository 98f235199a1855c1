"""`nacre acls`: the access control lists that the services need, as a script for kafka-acls.sh, or set at once."""

import argparse
import asyncio
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, SecurityDisabled

from common.aiokafka_internals.admin_requests import Acl, create_acl
from common.broker_errors.refusals import GROUP, TOPIC, TRANSACTIONAL_ID
from common.errors import ConfigurationError
from common.kafka.clients import open_admin
from common.pipeline.permissions import OPERATIONS, ROLES, Permission, permissions
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import keep_clients_quiet, write_out

_PROGRAM = "nacre acls"
_OPTIONS = {TOPIC: "--topic", GROUP: "--group", TRANSACTIONAL_ID: "--transactional-id"}
_DEADLINE_S = 30.0
# Numbers of Kafka's protocol.
_RESOURCES = {TOPIC: 2, GROUP: 3, TRANSACTIONAL_ID: 5}
_LITERAL, _PREFIXED, _ALLOW, _ANY_HOST = 3, 4, 3, "*"

_HEAD = """\
#!/bin/sh
# What the pipeline {prefix}* needs, and nothing more. Run it with the address of a broker:
#   sh acls.sh --bootstrap-server HOST:PORT --command-config admin.properties
# Set KAFKA_ACLS if the command is not named kafka-acls.sh.
set -eu
: "${{1:?usage: sh acls.sh --bootstrap-server HOST:PORT [--command-config FILE]}}"
"""


class Grant(NamedTuple):
    """The operations that one principal may perform on one resource, or on all resources with a prefix."""

    principal: str
    resource: str
    name: str
    is_prefix: bool
    operations: tuple[str, ...]


def main(argv: list[str]) -> int:
    """Print the script, or set the ACLs; return 0 on success, 1 if the broker fails, 78 for a wrong setting."""
    keep_clients_quiet()
    try:
        options = _parser().parse_args(argv)
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        found = grants(_principals(options), settings.topic_prefix, may_create=not options.no_create)
        if options.apply:
            count = asyncio.run(_apply(settings, found))
            write_out(f"{count} ACLs set at {settings.kafka_bootstrap_servers}\n")
        else:
            write_out(script(found, settings.topic_prefix))
    except ConfigurationError as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        return error.exit_code
    except (KafkaError, OSError, TimeoutError) as error:
        sys.stderr.write(f"{_PROGRAM}: {str(error) or repr(error)}\n")
        return 1
    return 0


def grants(principals: Mapping[str, str], prefix: str, *, may_create: bool = True) -> list[Grant]:
    """What each role's principal needs: each permission once, grouped by resource."""
    operations: dict[tuple[str, str, str, bool], list[str]] = {}
    for role, principal in principals.items():
        for needed in permissions(role, prefix):
            if needed.operation == "Create" and not may_create:
                continue
            allowed = operations.setdefault((principal, *_pattern(needed)), [])
            if needed.operation not in allowed:
                allowed.append(needed.operation)
    return [Grant(*key, tuple(allowed)) for key, allowed in operations.items()]


def _pattern(permission: Permission) -> tuple[str, str, bool]:
    # Kafka refuses an empty prefix; the literal name * stands for all resources.
    if permission.is_prefix and not permission.name:
        return permission.resource, "*", False
    return permission.resource, permission.name, permission.is_prefix


def script(found: Sequence[Grant], prefix: str) -> str:
    """A shell script that sets these ACLs with Kafka's own command."""
    return _HEAD.format(prefix=prefix) + "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Sequence[Grant]) -> Iterator[str]:
    # Grants that differ only in their name share a line, because each line starts a JVM.
    names: dict[Grant, list[str]] = {}
    for grant in found:
        names.setdefault(grant._replace(name=""), []).append(grant.name)
    for grant, named in names.items():
        words = ["--add", "--allow-principal", grant.principal]
        for operation in grant.operations:
            words += ["--operation", operation]
        for name in named:
            words += [_OPTIONS[grant.resource], name]
        words += ["--resource-pattern-type", "prefixed" if grant.is_prefix else "literal"]
        yield f'"${{KAFKA_ACLS:-kafka-acls.sh}}" "$@" {shlex.join(words)}'


async def _apply(settings: ServiceSettings, found: Sequence[Grant]) -> int:
    try:
        async with asyncio.timeout(_DEADLINE_S), open_admin(settings) as admin:
            for grant in found:
                for operation in grant.operations:
                    await _set(admin, grant, operation)
    except SecurityDisabled:
        raise ConfigurationError("the broker has no access control: set its authorizer.class.name") from None
    except ClusterAuthorizationFailedError:
        raise ConfigurationError(
            "this user may not set ACLs, which needs Alter on Cluster: have an administrator run this command"
        ) from None
    return sum(len(grant.operations) for grant in found)


async def _set(admin: AIOKafkaAdminClient, grant: Grant, operation: str) -> None:
    pattern = _PREFIXED if grant.is_prefix else _LITERAL
    resource, number = _RESOURCES[grant.resource], OPERATIONS[operation]
    acl = Acl(resource, grant.name, pattern, grant.principal, _ANY_HOST, number, _ALLOW)
    name = f"{grant.name}*" if grant.is_prefix else grant.name
    await create_acl(admin, acl, f"cannot set {operation} on {grant.resource} {name} for {grant.principal}")


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=_PROGRAM,
        description="Print a script for kafka-acls.sh that allows each service what it needs, and nothing more. The "
        "topics are those of the setting TOPIC_PREFIX in the environment.",
        examples=(
            "nacre acls --ingest User:nacre-ingest --split User:nacre-split --sink User:nacre-sink > acls.sh",
            "nacre acls --sink User:nacre-sink --apply",
        ),
    )
    for role in ROLES:
        does = "runs nacre validate, rejected and status" if role == "operator" else f"{role} connects as"
        parser.add_argument(f"--{role}", type=_principal, metavar="User:NAME", help=f"the user that {does}")
    parser.add_argument("--no-create", action="store_true", help="leave out Create: somebody else creates the topics")
    parser.add_argument(
        "--apply",
        action="store_true",
        help="set the ACLs on the broker of the settings KAFKA_*, as their user, which needs Alter on Cluster",
    )
    return parser


def _principals(options: argparse.Namespace) -> dict[str, str]:
    named = {role: getattr(options, role) for role in ROLES if getattr(options, role)}
    if not named:
        raise ConfigurationError("name a principal: --ingest User:NAME, --split User:NAME, --sink User:NAME")
    return named


def _principal(text: str) -> str:
    kind, colon, name = text.partition(":")
    if not (kind and colon and name):
        raise argparse.ArgumentTypeError(f"{text!r} is not a principal such as User:alice")
    return text
