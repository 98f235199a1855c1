"""`nacre demo`: rows through a real Kafka and three real services into one CSV per category, shown and proved."""

import argparse
import asyncio
import logging
import os
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import structlog
from rich.console import Console

from common.errors import ConfigurationError
from common.protocol.output_folder import REJECTED_PATH
from common.settings import ServiceSettings
from common.settings_reader import read_settings
from ops.demo.files import DemoError, check, own_folder
from ops.demo.killing import Killer
from ops.demo.live import LiveView, show_on_terminal, stage_lines
from ops.demo.order import BOOTSTRAP, Order, parse, take_order
from ops.demo.proof import ProofError, categories
from ops.demo.screen import Bars, category_table
from ops.demo.services import Services
from ops.demo.watch import Observer, delete_topics
from ops.findings import Finding, shown_path
from ops.findings_table import findings_table
from ops.kafka import jars
from ops.kafka.deferred_signals import deferred_signals
from ops.kafka.jars import LocalKafkaError
from ops.kafka.local import LocalKafka
from ops.place import place_of
from ops.verify.command import verify
from ops.verify.report import WELL
from ops.verify.settings import read_arguments
from services.ingest.files.finding import source_name
from services.split.categories.splits import parse_split_by

_SHOW_INTERVAL_S = 0.05
# A broker that has not answered by then counts as absent; the services themselves would wait for ever.
_ANSWER_DEADLINE_S = 30.0
_LAST_LOOK_DEADLINE_S = 5.0
_DELETE_DEADLINE_S = 5.0


def main(argv: list[str]) -> int:
    """Run the demo; return 0 if everything is proved, 1 if not, 128 + the signal's number if interrupted."""
    arguments = parse(argv)
    _keep_quiet()
    console = Console(highlight=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # A signal that is ignored, as by nohup, stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        return _run(arguments, console)
    except KeyboardInterrupt as interrupt:
        sys.stderr.write("nacre demo: interrupted, everything is stopped\n")
        return 128 + int(interrupt.args[0])
    except (DemoError, ProofError, LocalKafkaError, ConfigurationError, OSError) as error:
        sys.stderr.write(f"nacre demo: {error}\n")
        return 1


def _keep_quiet() -> None:
    """Keep the log of the observer's clients out of the bars; the services report their errors in their own logs."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    # Replace characters that the terminal's encoding lacks rather than fail.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # both are text files here


def _interrupt(number: int, _frame: FrameType | None) -> None:
    # The clean-up that follows has deadlines, and must not be cut short.
    _ignore_signals()
    raise KeyboardInterrupt(number)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _run(arguments: argparse.Namespace, console: Console) -> int:
    began = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nacre-demo-")))
        order = take_order(arguments, folder)
        stack.enter_context(own_folder(order.output_dir))
        splits = parse_split_by(order.split_by)
        console.print(f"{order.name}: {order.rows:,} rows", style="bold", markup=False, soft_wrap=True)
        console.print(f"  split by {order.split_by}", markup=False, soft_wrap=True)
        flags = _reach_kafka(stack, console)
        settings = read_settings(ServiceSettings, flags, program="nacre demo")
        observer = Observer(settings, order.output_dir, order.rows, len(splits))
        if os.environ.get(BOOTSTRAP):
            # Registered before the services start, so that it runs after they are stopped.
            stack.callback(_delete_topics, settings, observer)
        services = stack.enter_context(Services(_service_arguments(order, flags), folder))
        killer = Killer(services) if arguments.kill else None
        if all(stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)) and console.is_terminal:
            lines = _show_live(settings, order, services, observer, killer)
            console.print("\n".join(lines), markup=False, soft_wrap=True)
        else:
            with Bars(console) as bars, deferred_signals() as came:
                where = settings.kafka_bootstrap_servers
                asyncio.run(_show_until_done(services, observer, bars, where, came, killer))
        if killer is not None:
            console.print(f"  killed with -9 and started again, times: {killer.counts}", markup=False, soft_wrap=True)
        with console.status("reading the files back"):
            source = source_name(order.input)
            files, findings = check(order.input.read_bytes(), order.name, source, order.output_dir, splits)
            if killer is not None:
                findings.append(_verified(order))
        console.print(category_table(categories([split.name for split in splits], files)))
        console.print(findings_table(findings))
        _ignore_signals()
    where = shown_path(order.output_dir)
    if (order.output_dir / REJECTED_PATH).exists():
        console.print(f"\nrejected rows, and why: {where}/{REJECTED_PATH}", markup=False, soft_wrap=True)
    console.print(f"\n{time.monotonic() - began:.1f} s in all; the files are in {where}", markup=False, soft_wrap=True)
    return 0 if all(finding.holds for finding in findings) else 1


def _reach_kafka(stack: ExitStack, console: Console) -> list[str]:
    """The flags that name the broker to the services: the one in the environment, or one that is started here."""
    # A prefix of its own, so that another demo's topics on the broker do not matter.
    prefix = f"--topic-prefix=demo-{uuid.uuid4().hex[:12]}."
    if os.environ.get(BOOTSTRAP):
        flags = [prefix]
        console.print(f"  Kafka at {os.environ[BOOTSTRAP]}, as {BOOTSTRAP} says", markup=False)
        return flags
    began = time.monotonic()
    if jars.download_needed():
        console.print(f"  downloading Kafka {jars.KAFKA_VERSION} ({jars.DOWNLOAD_MB} MB), this once")
    with console.status(f"starting Kafka {jars.KAFKA_VERSION}"):
        kafka = stack.enter_context(LocalKafka())
    # A clean stop would take longer, and the data are removed anyway.
    stack.callback(kafka.kill)
    took_s = time.monotonic() - began
    console.print(f"  Kafka {jars.KAFKA_VERSION} at {kafka.bootstrap}, ready after {took_s:.1f} s")
    # These override what the environment may say about another broker.
    return [
        prefix,
        f"--kafka-bootstrap-servers={kafka.bootstrap}",
        "--kafka-security-protocol=PLAINTEXT",
        "--replication-factor=1",
    ]


def _delete_topics(settings: ServiceSettings, observer: Observer) -> None:
    with deferred_signals():
        trouble = asyncio.run(delete_topics(settings, _DELETE_DEADLINE_S))
    # A broker that never answered has no topics of this demo.
    if trouble and observer.has_answered:
        sys.stderr.write(f"nacre demo: the topics {settings.topic_prefix}* are left on the broker: {trouble}\n")


def _service_arguments(order: Order, flags: Sequence[str]) -> dict[str, list[str]]:
    # Every setting that the outcome depends on is given, so that the environment cannot change it.
    shared = [*flags, "--log-format=console", "--log-level=info"]
    # Rejected rows must not stop the demo: it shows them with the rest.
    shared_by_readers = [*shared, "--max-rejected=100%"]
    reading = ["--once", "--header=first", "--row-format=csv", "--order=source"]
    return {
        "ingest": [*shared_by_readers, *reading, f"--input={order.input}"],
        "split": [*shared_by_readers, "--exit-when-done", f"--split-by={order.split_by}"],
        "sink": [*shared, "--exit-when-done", f"--output-dir={order.output_dir}"],
    }


def _show_live(
    settings: ServiceSettings, order: Order, services: Services, observer: Observer, killer: Killer | None
) -> list[str]:
    """Show the terminal view until all have ended; return what each stage has done. Raises DemoError."""
    with deferred_signals() as came:
        view = LiveView(place_of(settings), services, killer, came, _ANSWER_DEADLINE_S)
        try:
            show_on_terminal(settings, order.output_dir, view)
        finally:
            observer.has_answered = view.last is not None
    return [] if view.last is None else [*stage_lines(view.last)]


def _verified(order: Order) -> Finding:
    """What `nacre verify` says, which uses none of the services' own code."""
    report = verify(read_arguments([str(order.output_dir)]))
    return Finding(report.exit_code == WELL, f"nacre verify: {report.lines()[-1]}")


async def _show_until_done(
    services: Services,
    observer: Observer,
    bars: Bars,
    bootstrap: str,
    interrupts: Sequence[int],
    killer: Killer | None,
) -> None:
    """Show how far the services are until all have ended, or an interrupt comes.

    Raises DemoError when one fails, or no broker answers.
    """
    stop = asyncio.Event()
    looking = asyncio.create_task(observer.run(stop))
    deadline = time.monotonic() + _ANSWER_DEADLINE_S
    while len(finished := services.finished()) < len(services):
        if interrupts:
            return
        if observer.standings is not None:
            bars.show(observer.standings, finished)
            if killer is not None:
                stood = observer.standings
                killer.kill_when_due(time.monotonic(), stood.ingest.done + stood.split.done + stood.sink.done)
        elif time.monotonic() > deadline:
            raise DemoError(f"no answer from Kafka at {bootstrap} in {_ANSWER_DEADLINE_S:g} s: {observer.trouble}")
        await asyncio.sleep(_SHOW_INTERVAL_S)
    stop.set()
    await asyncio.wait([looking], timeout=_LAST_LOOK_DEADLINE_S)
    if observer.standings is not None:
        bars.show(observer.standings, finished)
