"""`nacre kafka`: a local Kafka until SIGINT or SIGTERM."""

import argparse
import signal
import sys
from pathlib import Path

from common.settings_reader import ParserWithExamples
from ops.command_line import write_out
from ops.kafka import jars
from ops.kafka.jars import KAFKA_VERSION, LocalKafkaError
from ops.kafka.local import LocalKafka


def main(argv: list[str]) -> int:
    """Run a local Kafka until SIGINT or SIGTERM."""
    arguments = _parse(argv)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if jars.download_needed():
            sys.stderr.write(f"downloading Kafka {KAFKA_VERSION} ({jars.DOWNLOAD_MB} MB), this once\n")
        with LocalKafka(arguments.port, arguments.data_dir, dict(arguments.config)) as kafka:
            fate = "removed at exit" if arguments.data_dir is None else "kept"
            write_out(f"Kafka {KAFKA_VERSION} ready at {kafka.bootstrap} (data: {kafka.data_dir}, {fate})\n")
            kafka.wait()
    except KeyboardInterrupt:
        return 0
    except (LocalKafkaError, OSError) as error:
        sys.stderr.write(f"nacre kafka: {error}\n")
        return 1


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = ParserWithExamples(
        prog="nacre kafka",
        description="Run a real Apache Kafka on this machine.",
        examples=("nacre kafka --port 9092", "nacre kafka --port 9092 --data-dir kafka-data --config num.partitions=3"),
    )
    parser.add_argument("--port", type=int, help="default: a free port")
    parser.add_argument("--data-dir", type=Path, help="keep the data in this folder, and continue with what is there")
    parser.add_argument(
        "--config", type=_setting, action="append", default=[], metavar="KEY=VALUE", help="broker setting"
    )
    return parser.parse_args(argv)


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
