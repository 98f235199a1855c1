"""`nacre forget SOURCE …`: drop what is kept of sources that are gone: their tallies, shares and receipts.

Rows, files and what ingest has read stay. The tallies go to a sum over all forgotten sources, so that the ledgers still
account for every row in the files. Each step can be repeated: after a kill, run the command once more. Kafka's records
go first, because that second run knows the source by what is left of it in the output folder.
"""

import argparse
import asyncio
import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, closing, contextmanager
from pathlib import Path

from aiokafka.errors import KafkaError

from common.errors import ConfigurationError, ServiceError
from common.pipeline.topics import Topics
from common.protocol.finite_run import STANDARD_INPUT_PREFIX
from common.protocol.output_folder import HIDDEN, is_ledger_of
from common.protocol.shares import share_key
from common.sessions.diagnosis import diagnose
from common.settings import ServiceSettings
from common.settings_reader import Parser, read_settings
from ops.command_line import keep_clients_quiet, write_out
from services.ingest.files.finding import source_name
from services.sink.disk.errors import DiskError
from services.sink.ledger.database import Ledger
from services.sink.ledger.errors import clear_errors
from services.sink.ledger.inventory import keeps_tallies
from services.sink.paths.receipts import receipt_path
from services.sink.receipts.sharing import KeyedRecord, Sender

_PROGRAM = "nacre forget"
_ANSWER_DEADLINE_S = 30.0


def main(argv: list[str]) -> int:
    """Run the command; return 0 if all sources were known, 78 for a wrong setting, else 1."""
    keep_clients_quiet()
    try:
        options = _parser().parse_args(argv)
        settings = read_settings(ServiceSettings, [], program=_PROGRAM)
        sources = [_name_of(given) for given in options.sources]
        known = _forget(settings, options.output_dir, sources)
    except ServiceError as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        return error.exit_code
    except (DiskError, OSError) as error:
        sys.stderr.write(f"{_PROGRAM}: {error}\n")
        return 1
    for source in sources:
        outcome = "forgotten" if source in known else "not known, so there is nothing to forget"
        write_out(f"{source}: {outcome}\n")
    return 0 if known == set(sources) else 1


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog=_PROGRAM,
        description="Drop what is kept of sources that are gone: their tallies, shares and receipts, not their rows. "
        "Stop every sink first. A source that grows after that gets no receipt any more. The broker and the topics are "
        "those of the settings KAFKA_* and TOPIC_PREFIX in the environment.",
        examples=("nacre forget data/2024.csv --output-dir out",),
    )
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="a source's path, or stdin-NAME")
    folder = Path(os.environ.get("OUTPUT_DIR") or "out")
    parser.add_argument("--output-dir", type=Path, default=folder, help="default: OUTPUT_DIR, or out")
    return parser


def _name_of(given: str) -> str:
    return given if given.startswith(STANDARD_INPUT_PREFIX) else source_name(Path(given))


def _forget(settings: ServiceSettings, root: Path, sources: Sequence[str]) -> set[str]:
    """Drop what is kept of the sources; return those of which a ledger or a file had anything."""
    paths = sorted(path for path in (root / HIDDEN).glob("*.ledger") if is_ledger_of(path.name, settings.topic_prefix))
    if not paths:
        raise ConfigurationError(f"{root} has no ledgers of TOPIC_PREFIX={settings.topic_prefix}")
    known: set[str] = set()
    with ExitStack() as held:
        for path in paths:
            held.enter_context(_lock(path.with_suffix(".lock")))
        # To open one of format 1 upgrades it, and the sinks of a pipeline of that format refuse it then.
        kept = [path for path in paths if _keeps_tallies(path)]
        if not kept:
            raise ConfigurationError(f"{root}: format 1 keeps nothing of sources, so there is nothing to forget")
        ledgers = [held.enter_context(closing(Ledger(path))) for path in kept]
        asyncio.run(_forget_records(settings, root, sources))
        for ledger in ledgers:
            known |= ledger.forget(sources)
        for source in sources:
            receipt = root / receipt_path(source)
            if receipt.exists():
                known.add(source)
                receipt.unlink()
    return known


def _keeps_tallies(path: Path) -> bool:
    with clear_errors(path):
        return keeps_tallies(path)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a partition's lock. ConfigurationError if a sink holds it."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(f"a sink holds {path}: stop every sink first") from None
        yield


async def _forget_records(settings: ServiceSettings, root: Path, sources: Sequence[str]) -> None:
    """Delete the sources' records in `shares` and `receipts`."""
    topics = Topics.under(settings.topic_prefix)
    names = [path.stem.removeprefix(settings.topic_prefix) for path in sorted((root / HIDDEN).glob("*.ledger"))]
    shares: list[KeyedRecord] = [(share_key(name, source), None, []) for source in sources for name in names]
    try:
        async with asyncio.timeout(_ANSWER_DEADLINE_S), AsyncExitStack() as opened:
            sender = Sender(settings, opened)
            await sender.send(topics.shares, shares)
            await sender.send(topics.receipts, [(source.encode(), None, []) for source in sources])
    except (KafkaError, OSError) as error:
        raise ServiceError((await diagnose(error, settings)).reason) from error
