"""Taking over from a dead predecessor: who is removed from the group, and who is not."""

import subprocess
import sys
import uuid
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import GroupCoordinatorNotAvailableError

from common.kafka import predecessor as predecessor_module
from common.kafka.predecessor import Slot, remove_predecessor
from common.settings import ServiceSettings
from common.settings_reader import make_settings

COORDINATOR = 3
HELD: list[Slot] = []
HOLDER = """
import sys
from common.kafka.predecessor import Slot
from common.settings import ServiceSettings
from common.settings_reader import make_settings
slot = Slot(make_settings(ServiceSettings, {"topic_prefix": sys.argv[1]}), "split")
print(slot.client_id, flush=True)
sys.stdin.read()
"""


def settings() -> ServiceSettings:
    """The settings of a pipeline in which no other process has a slot."""
    return make_settings(ServiceSettings, {"topic_prefix": f"test-{uuid.uuid4().hex[:12]}."})


def hold(pipeline: ServiceSettings, service: str = "split") -> Slot:
    """A slot, held until the process ends."""
    HELD.append(Slot(pipeline, service))
    return HELD[-1]


class Admin:
    """The part of aiokafka's admin client that this needs: a group and its members, by their ids."""

    def __init__(self, members: dict[str, str], error_code: int = 0) -> None:
        self._members = members
        self._error_code = error_code
        self.asked: list[str] = []

    async def find_coordinator(self, group: str) -> int:
        """Find it."""
        self.asked.append(group)
        return COORDINATOR

    async def describe_consumer_groups(self, groups: list[str], coordinator: int) -> list[Any]:
        """Describe one."""
        assert coordinator == COORDINATOR
        members = [(member, client, "host", b"", b"") for member, client in self._members.items()]
        return [SimpleNamespace(groups=[(self._error_code, *groups, "Stable", "consumer", "nacre", members)])]


@pytest.fixture
def removed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, str]]:
    found: list[tuple[int, str, str]] = []

    async def remove(_admin: Admin, coordinator: int, group: str, member_id: str) -> None:
        found.append((coordinator, group, member_id))

    monkeypatch.setattr(predecessor_module, "remove_member", remove)
    return found


async def test_members_of_this_slot_are_removed_and_no_others(removed: list[tuple[int, str, str]]) -> None:
    slot = hold(settings())
    admin: Any = Admin({"dead": slot.client_id, "other": f"{slot.client_id}0", "dead too": slot.client_id})
    await remove_predecessor(admin, "group", slot)
    assert removed == [(COORDINATOR, "group", "dead"), (COORDINATOR, "group", "dead too")]


async def test_a_broker_that_does_not_answer_costs_time_alone(removed: list[tuple[int, str, str]]) -> None:
    slot = hold(settings())
    refusing: Any = Admin({"dead": slot.client_id}, GroupCoordinatorNotAvailableError.errno)
    await remove_predecessor(refusing, "group", slot)
    assert removed == []


async def test_without_a_slot_nobody_is_asked(
    removed: list[tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    slot = hold(settings())
    assert not slot.is_held
    admin: Any = Admin({"dead": slot.client_id})
    await remove_predecessor(admin, "group", slot)
    assert (admin.asked, removed) == ([], [])


def test_the_slots_of_a_service_differ_and_those_of_others_do_not_count() -> None:
    pipeline = settings()
    first, second = hold(pipeline), hold(pipeline)
    assert first.client_id != second.client_id
    assert hold(pipeline, "sink").client_id == first.client_id.replace("split", "sink")
    assert hold(settings()).client_id == first.client_id


def test_a_slot_is_free_again_once_its_holder_is_killed() -> None:
    pipeline = settings()
    command = [sys.executable, "-c", HOLDER, pipeline.topic_prefix]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        held = holder.stdout.readline().strip()
        assert hold(pipeline).client_id != held
        holder.kill()
    assert hold(pipeline).client_id == held
