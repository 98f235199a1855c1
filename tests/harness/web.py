"""`nacre web` as a process, and what it sends."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from tests.harness.pipeline import PROJECT, wait_until

# What a page is examined with; it is never shipped.
_AXE = "axe-core@4.14.1"
_AXE_SHA256 = "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745"
_DEADLINE_S = 60.0


class Web:
    """One process of `nacre web`, from entry to exit. Its log and its address are in `folder`."""

    def __init__(self, environment: Mapping[str, str], folder: Path, *arguments: str) -> None:
        self._command = [sys.executable, "-m", "ops", "web", "--interval-s", "0.2", *arguments]
        self._environment = dict(environment)
        self._folder = folder

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def start(self, *arguments: str) -> None:
        """Start it, and wait until it has said where the page is."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*self._command, *(arguments or ["--port", "0"])],
                cwd=PROJECT,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        wait_until(lambda: self.output.read_bytes().endswith(b"\n"), "it says where the page is", _DEADLINE_S)
        self.link = self.output.read_text().split()[-1]

    @property
    def output(self) -> Path:
        """The file with what it has printed."""
        return self._folder / "web.log"

    @property
    def port(self) -> int:
        """Where it listens."""
        return urlsplit(self.link).port or 0

    def stop(self, number: signal.Signals) -> int:
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_DEADLINE_S)

    def ask(self, path: str, host: str = "127.0.0.1", **headers: str) -> tuple[int, bytes]:
        """The status and the body."""
        connection = http.client.HTTPConnection(host, self.port, timeout=_DEADLINE_S)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def files(self, query: str = "") -> dict[str, Any]:
        """The sources that are asked for."""
        return dict(json.loads(self.ask(f"/files?{query}")[1]))

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
        """The events of a page that is opened now, by kind."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_DEADLINE_S)
        try:
            connection.request("GET", "/events")
            yield _events(connection.getresponse())
        finally:
            connection.close()

    def wait_for_view(self, holds: Any) -> dict[str, Any]:
        """The first view for which this holds."""
        with self.events() as events:
            return next(fields for kind, fields in events if kind == "view" and holds(fields))


def _events(response: http.client.HTTPResponse) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = ""
    for line in response:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def find_axe(folder: Path) -> str | None:
    """axe-core as a script, from the npm registry; None without npm. AssertionError if it is not what it has to be."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    done = subprocess.run(
        [npm, "pack", _AXE, "--silent", "--prefer-offline", "--pack-destination", str(folder)],
        cwd=folder,
        env={**os.environ, "npm_config_update_notifier": "false"},
        check=True,
        capture_output=True,
        text=True,
    )
    path = folder / done.stdout.split()[-1]
    assert sha256(path.read_bytes()).hexdigest() == _AXE_SHA256
    with tarfile.open(path) as packed:
        script = packed.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()
