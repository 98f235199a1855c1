"""Receipts while splits come and go: which splits rest is read behind the shares that a receipt is made of."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from aiokafka import TopicPartition
from aiokafka.errors import CoordinatorNotAvailableError
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # it is in their manual

from common.kafka.clients import open_reader
from common.pipeline.topics import Topics
from common.protocol.messages import Ended
from common.protocol.output_folder import HIDDEN
from common.protocol.position import digest
from common.protocol.receipts import decode_receipt
from common.protocol.shares import EVERY_SPLIT, Counted, Share, Snapshot, encode_share
from common.rows.tally import NOTHING, tally
from common.settings import ServiceSettings
from common.settings_reader import make_settings
from common.waiting import pause
from services.sink.paths.receipts import receipt_path
from services.sink.receipts.issuing import Issuing
from services.sink.receipts.sharing import Sender
from services.sink.tallies.joining import Makers

MAKERS = Makers(("categorized-0", "rejected-0"), "rejected-0", "cluster", "folder", "1")
BOTH = ("Sex", "Rings")
RINGS = frozenset({digest("Rings")})
NONE = frozenset[str]()
ROWS = tally([b"M,1"])
DEADLINE_S = 60


class World:
    """Splits that rest, as the test says, and what a sink is given of sources."""

    def __init__(self, root: Path, topics: Topics, sender: Sender) -> None:
        self.root = root
        self.topics = topics
        self.sender = sender
        self.resting: frozenset[str] = NONE
        self.questions = 0
        self.errors_left = 0
        self.offset = 0
        self.issuing: Issuing

    async def find_resting(self) -> frozenset[str]:
        """Which splits rest now."""
        self.questions += 1
        if self.errors_left:
            self.errors_left -= 1
            raise CoordinatorNotAvailableError
        return self.resting

    async def share(self, source: str, splits: tuple[str, ...], split_by: tuple[str, ...] = BOTH) -> None:
        """Share that a source has ended, with its only row safe in these of its splits."""
        ended = Ended(source, ROWS, 0, 1, 1, 9, splits=splits, split_by=split_by)
        in_files = {Counted(split): ROWS for split in splits}
        rejected = {Counted(split): NOTHING for split in (*splits, EVERY_SPLIT)}
        for partition, tallies in zip(MAKERS.partitions, (in_files, rejected), strict=True):
            self.offset += 1
            share = Share(source, partition, MAKERS.folder, self.offset, (Snapshot(ended, tallies),))
            await self.sender.send(self.topics.shares, [(share.key, encode_share(share), [])])

    def splits(self, source: str) -> list[str] | None:
        """The splits in the receipt of a source, None if it has none."""
        path = self.root / receipt_path(source)
        return sorted(decode_receipt(path.read_bytes()).splits) if path.exists() else None

    async def joined(self) -> None:
        """Wait until every share is joined."""
        await wait_until(lambda: self.issuing.position >= self.offset)


async def wait_until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not holds():
            await pause(asyncio.Event(), 0.01)


@asynccontextmanager
async def issuing(bootstrap: str, root: Path, resting: frozenset[str]) -> AsyncIterator[World]:
    """Issue receipts in a folder, from topics of its own."""
    root.joinpath(HIDDEN).mkdir()
    topics = Topics.under(f"test-{uuid.uuid4().hex[:12]}.")
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics([NewTopic(name, 1) for name in (topics.shares, topics.receipts)]).values():
        created.result()
    settings = make_settings(ServiceSettings, {"kafka_bootstrap_servers": bootstrap})
    async with AsyncExitStack() as opened:
        sender = Sender(settings, opened)
        world = World(root, topics, sender)
        world.resting = resting
        consumer = await opened.enter_async_context(open_reader(settings, "test-shares"))
        partition = TopicPartition(topics.shares, 0)
        await consumer.end_offsets([partition])
        world.issuing = Issuing(root, topics, MAKERS, consumer, sender, {}, world.find_resting, has_files=True)
        stop = asyncio.Event()
        running = asyncio.create_task(world.issuing.run(stop))
        try:
            yield world
        finally:
            stop.set()
            await running


async def test_a_receipt_waits_for_a_split_that_is_back(bootstrap: str, tmp_path: Path) -> None:
    async with issuing(bootstrap, tmp_path, RINGS) as world:
        await world.share("/early.csv", ("Sex",), ("Sex",))
        await world.joined()
        # Split commits that Rings is back before it puts any end behind that.
        world.resting = NONE
        await world.share("/in.csv", ("Sex",))
        await world.joined()
        assert world.splits("/in.csv") is None
        await world.share("/in.csv", BOTH)
        await world.joined()
        assert world.splits("/in.csv") == sorted(BOTH)
        assert world.splits("/early.csv") == ["Sex"]


async def test_a_receipt_that_is_joined_again_while_a_split_rests_keeps_it(bootstrap: str, tmp_path: Path) -> None:
    async with issuing(bootstrap, tmp_path, NONE) as world:
        await world.share("/in.csv", BOTH)
        await world.joined()
        world.resting = RINGS
        # As a sink does at its start with what it has not noted as shared.
        await world.share("/in.csv", BOTH)
        await world.joined()
        assert world.splits("/in.csv") == sorted(BOTH)


async def lack_rings(world: World) -> None:
    """Share a source that has no receipt, because it has not come to Rings; then Rings is gone."""
    await world.share("/in.csv", ("Sex",))
    await world.joined()
    assert world.splits("/in.csv") is None
    world.resting = RINGS


async def test_a_receipt_waits_no_more_for_a_split_that_is_gone_while_shares_keep_coming(
    bootstrap: str, tmp_path: Path
) -> None:
    async with issuing(bootstrap, tmp_path, NONE) as world:
        await lack_rings(world)
        await world.share("/other.csv", ("Sex",), ("Sex",))
        await world.joined()
        assert world.splits("/in.csv") == ["Sex"]


async def test_receipts_are_issued_also_if_something_else_finds_first_that_a_split_is_gone(
    bootstrap: str, tmp_path: Path
) -> None:
    async with issuing(bootstrap, tmp_path, NONE) as world:
        await lack_rings(world)
        # As the end of a finite run does.
        await world.issuing.refresh()
        assert world.issuing.lack_of("/in.csv", 1) == ""
        await wait_until(lambda: world.splits("/in.csv") == ["Sex"])


async def test_a_coordinator_that_is_away_for_a_moment_ends_no_session(bootstrap: str, tmp_path: Path) -> None:
    async with issuing(bootstrap, tmp_path, NONE) as world:
        await wait_until(lambda: world.questions == 1)
        world.errors_left = 2
        await world.share("/in.csv", BOTH)
        await world.joined()
        assert world.splits("/in.csv") == ["Rings", "Sex"]
        assert not world.errors_left
