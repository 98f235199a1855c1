"""Tokens that end again and again while rows flow: connections outlast them, and nobody notices."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.conftest import MakeFlow
from tests.harness.chaos import extent
from tests.harness.chaos.flow import Flow
from tests.harness.secured import SecuredKafka

RecordProperty = Callable[[str, object], None]

USER = "pipeline"
# As short as an endpoint gives them, for ten minutes; or shorter, for a minute.
TOKEN_S = 60 if extent.MINUTES else 10
SECONDS = extent.count(60, 600)
# A broker that has just started takes its time for the first TLS and the first tokens; a busy disk for a checkpoint.
DEADLINE_S = 120.0
_ESTABLISHED = "01"


def connections(process_id: int, port: int) -> set[str]:
    """The sockets by which a process is connected to a port of this machine."""
    # The kernel's table: number, local and remote address, state, ..., the inode in the tenth column.
    table = [line.split() for line in Path(f"/proc/{process_id}/net/tcp").read_text().splitlines()[1:]]
    there = {row[9] for row in table if int(row[2].partition(":")[2], 16) == port and row[3] == _ESTABLISHED}
    opened: set[str] = set()
    for descriptor in Path(f"/proc/{process_id}/fd").iterdir():
        try:
            found = re.fullmatch(r"socket:\[(\d+)\]", str(descriptor.readlink()))
        except FileNotFoundError:
            continue
        if found and found[1] in there:
            opened.add(found[1])
    return opened


def states(flow: Flow) -> dict[str, list[str]]:
    """What each service has told of its state, from when it was ready first."""
    told: dict[str, list[str]] = {}
    for service in flow.every():
        events = re.findall(r'"event":"(ready|not ready|crashed|draining)"', service.log())
        told[service.log_path.name] = events[events.index("ready") :] if "ready" in events else []
    return told


@pytest.mark.timeout(SECONDS + 600)
def test_tokens_end_under_load_and_nobody_notices(
    tmp_path: Path, make_flow: MakeFlow, record_property: RecordProperty
) -> None:
    with SecuredKafka(tmp_path, USER, token_lifetime_s=TOKEN_S) as secured:
        flow = make_flow(secured.bootstrap, **secured.settings("OAUTHBEARER", USER))
        secured.grant(flow.pipeline.prefix, dict.fromkeys(flow.running, USER))
        for name in ("ingest", "split", "split", "sink"):
            flow.start(name)
        flow.wait_for_more(DEADLINE_S)
        flow.pipeline.wait_until(lambda: all(states(flow).values()), "all are ready", DEADLINE_S)
        # In its first seconds under load a lone broker may answer a transaction with an error of its own, without any
        # token that has ended (UNKNOWN_SERVER_ERROR): a session begins anew, with other connections.
        flow.pause(TOKEN_S)
        flow.wait_for_more(DEADLINE_S)
        flow.pipeline.wait_until(lambda: all(each[-1:] == ["ready"] for each in states(flow).values()), "all are well")
        told = states(flow)
        at_first = {service: connections(service.process_id, secured.sasl_port) for service in flow.every()}
        slowest_s = 0.0
        tokens = SECONDS // TOKEN_S
        issued = len(secured.tokens.issued)
        for _ in range(tokens):
            flow.pause(TOKEN_S)
            slowest_s = max(slowest_s, flow.wait_for_more(DEADLINE_S))
        assert states(flow) == told
        renewed = len(secured.tokens.issued) - issued
        assert renewed >= (tokens - 1) * len(flow.every())
        for service, opened in at_first.items():
            # Those that were opened for one question are closed, or have idled for too long.
            kept = opened & connections(service.process_id, secured.sasl_port)
            assert kept, f"{service.log_path.name}: none of {len(opened)} connections is open still"
            record_property(f"connections of {service.name} kept over {tokens} tokens", len(kept))
        record_property("seconds that rows waited longest, with tokens that end", slowest_s)
        record_property("tokens of all services", renewed)
        record_property("rows, with tokens that end", flow.finish().rows)
