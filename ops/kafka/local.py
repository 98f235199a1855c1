"""A real Apache Kafka on this machine without Docker, which does not outlive the process that started it."""

import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn, Self

from ops.kafka import jars
from ops.kafka import settings as kafka_settings
from ops.kafka.deferred_signals import deferred_signals
from ops.kafka.jars import KAFKA_VERSION, LocalKafkaError

_LOG_NAME = "broker.log"
_LOG_TAIL_LINES = 20
_POLL_INTERVAL_S = 0.05
_STOP_DEADLINE_S = 20.0

# What the parent writes to the supervisor's standard input to end the broker. An end of file without it means that the
# parent is dead.
_STOP = b"stop"
_KILL = b"kill"
_PR_SET_PDEATHSIG = 1


class LocalKafka:
    """One Kafka node on 127.0.0.1 that does not outlive this process; it can start again on its port and data."""

    # Set by the first start, and the same after every later one.
    bootstrap: str

    def __init__(
        self,
        port: int | None = None,
        data_dir: Path | None = None,
        config: Mapping[str, str] = MappingProxyType({}),
        *,
        cluster: Sequence[str] = (),
        preferences: Mapping[str, str] = kafka_settings.PREFERENCES,
        java_options: Sequence[str] = (),
        ready_deadline_s: float = 180.0,
        stop_deadline_s: float = _STOP_DEADLINE_S,
    ) -> None:
        self._port = port
        self._temporary = data_dir is None
        self.data_dir = (data_dir or Path(tempfile.gettempdir(), f"nacre-kafka-{uuid.uuid4().hex}")).absolute()
        self._config = config
        self._preferences = preferences
        self._cluster = cluster
        self._java_options = java_options
        self._ready_deadline_s = ready_deadline_s
        self._stop_deadline_s = stop_deadline_s
        self._supervisor: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the broker and return once it answers; the very first start downloads it. Raises LocalKafkaError."""
        if self._supervisor is not None and self._supervisor.poll() is None:
            raise LocalKafkaError("Kafka is already running")
        self.kill()
        if self._port is not None:
            kafka_settings.check_port_free(self._port)
        java, classpath = jars.java(), jars.classpath()
        self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        properties = kafka_settings.broker_properties(self._port or 0, self._config, self._preferences)
        (self.data_dir / kafka_settings.PROPERTIES_NAME).write_text(kafka_settings.properties_text(properties))
        options = self._java_options or jars.kept_classes_options()
        commands = [kafka_settings.broker_command(java, classpath, self.data_dir, options)]
        # Kafka writes this file last, so a format that was interrupted is repeated.
        if not (self.data_dir / kafka_settings.DATA_NAME / "meta.properties").exists():
            commands.insert(0, kafka_settings.format_command(java, classpath, self.data_dir, self._cluster, options))
        with (self.data_dir / _LOG_NAME).open("ab") as log:
            log_start = log.tell()
            with deferred_signals():
                work = [commands, str(self.data_dir), self._temporary, self._stop_deadline_s]
                self._supervisor = _spawn_supervisor(json.dumps(work), log.fileno())
        try:
            self._port = self._await_ready(log_start)
            self.bootstrap = f"{kafka_settings.HOST}:{self._port}"
        except BaseException:
            self.kill()
            raise

    @property
    def supervisor_pid(self) -> int:
        """The process whose only child is the broker; LocalKafkaError if it is not running."""
        if self._supervisor is None:
            raise LocalKafkaError("Kafka is not running")
        return self._supervisor.pid

    def stop(self) -> None:
        """Shut the broker down cleanly; its data stays for the next start."""
        self._end(_STOP)

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would; its data stays for the next start."""
        self._end(_KILL)

    def close(self) -> None:
        """Stop the broker and remove its data, unless the caller named their folder."""
        self.stop()
        if self._temporary:
            shutil.rmtree(self.data_dir, ignore_errors=True)

    def wait(self) -> NoReturn:
        """Block until the broker ends by itself, which is an error."""
        if self._supervisor is not None:
            self._supervisor.wait()
        raise self._failure("ended by itself", 0)

    def _await_ready(self, log_start: int) -> int:
        supervisor = self._supervisor
        deadline = time.monotonic() + self._ready_deadline_s
        while True:
            port = kafka_settings.started_port(self._log(log_start), self._port)
            if port is not None and kafka_settings.answers(port):
                return port
            if supervisor is None or supervisor.poll() is not None:
                raise self._failure("ended before it was ready", log_start)
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {self._ready_deadline_s:g} s", log_start)
            time.sleep(_POLL_INTERVAL_S)

    def _end(self, word: bytes) -> None:
        # Forget the supervisor first: an interrupted wait closes the pipe, and then the supervisor cleans up by itself.
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is None or supervisor.stdin is None:
            return
        with supervisor.stdin as pipe:
            # The broker may already have ended by itself.
            with suppress(BrokenPipeError):
                pipe.write(word)
            supervisor.wait()

    def _log(self, start: int) -> str:
        with (self.data_dir / _LOG_NAME).open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def _failure(self, what: str, log_start: int) -> LocalKafkaError:
        tail = "\n".join(self._log(log_start).splitlines()[-_LOG_TAIL_LINES:])
        return LocalKafkaError(f"Kafka {KAFKA_VERSION} {what}; the end of {self.data_dir / _LOG_NAME}:\n{tail}")


def supervise(specification: str) -> int:
    """Be the process between the parent and Java: run the commands in turn until the parent ends them or dies."""
    commands, folder, temporary, stop_deadline_s = json.loads(specification)
    code = 0
    for command in commands:
        code, was_ended = _run(command, folder, stop_deadline_s)
        if was_ended or code != 0:
            break
    parent_is_dead = select.select([0], [], [], 0)[0] and not os.read(0, 1)
    if temporary and parent_is_dead:
        shutil.rmtree(folder, ignore_errors=True)
    return code


def _spawn_supervisor(specification: str, log: int) -> subprocess.Popen[bytes]:
    work = "from ops.kafka.local import supervise; sys.exit(supervise(sys.argv[2]))"
    code = f"import sys; sys.path[:0] = sys.argv[1:2]; {work}"
    root = Path(__file__).parents[2]
    return subprocess.Popen(  # noqa: S603 - our own code and the Java of a wheel
        [sys.executable, "-P", "-c", code, root, specification],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        # Ctrl-C goes to the terminal's whole group; the supervisor has to outlive it to clean up.
        start_new_session=True,
    )


def _run(command: list[str], folder: str, stop_deadline_s: float) -> tuple[int, bool]:
    """Run the command; return its exit code, and whether the parent, or its death, ended it."""
    # Only the child holds the writing end, so its death closes the pipe: one select waits for the child and the parent.
    ended, held_by_child = os.pipe()
    child = subprocess.Popen(  # noqa: S603 - as the parent says
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        pass_fds=[held_by_child],
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - the supervisor has no threads
    )
    os.close(held_by_child)
    was_ended = 0 in select.select([0, ended], [], [])[0]
    if was_ended:
        if os.read(0, len(_STOP)) == _STOP:
            child.terminate()
            with suppress(subprocess.TimeoutExpired):
                child.wait(stop_deadline_s)
        child.kill()
    os.close(ended)
    return child.wait(), was_ended


def _die_with_parent() -> None:
    """On Linux, let Java die even when the supervisor is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
