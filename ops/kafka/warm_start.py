"""Kafka's classes as Java keeps them once read and linked (JEP 483): a broker starts in a third of the time.

Java itself checks that they belong to the same Java and jars, and reads all of them again if they do not.
"""

import fcntl
import subprocess
import tempfile
from pathlib import Path

from ops.kafka import jars
from ops.kafka import settings as kafka_settings
from ops.kafka.local import LocalKafka

_DEADLINE_S = 300.0
# Each takes 65 MB.
_MOST_JAVAS = 4


def warm_up() -> None:
    """Keep a broker's classes for this Java, once; processes that do so at the same time wait for each other."""
    kept = jars.kept_classes()
    kept.parent.mkdir(parents=True, exist_ok=True)
    with (kept.parent / "classes.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            return
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            recorded, made = Path(folder, "recorded"), Path(folder, "made")
            record = ["-XX:AOTMode=record", f"-XX:AOTConfiguration={recorded}"]
            with LocalKafka(java_options=record, stop_deadline_s=_DEADLINE_S):
                pass
            options = ["-XX:AOTMode=create", f"-XX:AOTConfiguration={recorded}", f"-XX:AOTCache={made}"]
            command = kafka_settings.broker_command(jars.java(), jars.classpath(), Path(folder), java_options=options)
            subprocess.run(command, check=True, capture_output=True, timeout=_DEADLINE_S)  # noqa: S603 - the Java of a wheel
            made.replace(kept)
        for outdated in find_outdated(kept):
            outdated.unlink()


def find_outdated(kept: Path) -> list[Path]:
    """All but the newest of what is kept beside a file; each Java, as in another checkout, has a file of its own."""
    files = sorted(kept.parent.glob(f"*{kept.suffix}"), key=lambda file: file.stat().st_mtime_ns)
    return files[:-_MOST_JAVAS]
