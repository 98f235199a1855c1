"""Kafka Streams: `split`, an application in Java with exactly-once processing. It prints the rate of its own rows."""

import subprocess
import sys
from pathlib import Path

from benchmarks.peers import jars
from benchmarks.peers.arguments import parse

_SOURCE = Path(__file__).parent / "java" / "Split.java"


def main() -> int:
    """Run the application; the file's header is one more row to it, as Connect's source knows none."""
    arguments = parse()
    folder = arguments.output.parent
    jars.compile_to(folder / "classes", _SOURCE)
    told = (arguments.bootstrap, arguments.prefix, str(arguments.rows + 1), str(folder / "streams"))
    return subprocess.run(jars.command("Split", *told, classes=folder / "classes"), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
