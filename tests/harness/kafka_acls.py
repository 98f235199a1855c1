"""Kafka's own kafka-acls.sh, as far as a broker's Java can be had without its scripts."""

import os
import shlex
import stat
from pathlib import Path

from ops.kafka import jars

# Beside the broker's jars, which do not have its tools.
_TOOLS = {
    "org.apache.kafka": {
        "kafka-tools:4.3.0": "b88bc6ccc520d648142515526e4042c285612ce94b032434a88e3e936e38b600",
    },
}


def write_kafka_acls(folder: Path) -> Path:
    """Write the command into the folder; it runs the class that kafka-acls.sh runs."""
    command = folder / "kafka-acls.sh"
    classpath = os.pathsep.join([jars.classpath(), jars.classpath(_TOOLS)])
    options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"]
    java = shlex.join([str(jars.java()), *options, "-cp", classpath, "org.apache.kafka.tools.AclCommand"])
    command.write_text(f'#!/bin/sh\nexec {java} "$@"\n')
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    return command
