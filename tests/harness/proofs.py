"""What is written of the whole folder, checked without any code of the services, also while they work."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

MANIFEST = "manifest-sha256.txt"
PACKAGE = "datapackage.json"
SUCCESS = "_SUCCESS"
_LOOK_INTERVAL_S = 0.01


def checked(output: Path) -> list[str]:
    """Let sha256sum check the manifest; return the paths in it."""
    command = ["sha256sum", "-c", "--quiet", "--strict", MANIFEST]
    done = subprocess.run(command, cwd=output, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done
    paths = [line.partition("  ")[2] for line in (output / MANIFEST).read_text().splitlines()]
    assert paths == sorted(paths, key=str.encode)
    return paths


def resources(output: Path) -> dict[str, dict[str, Any]]:
    """The resources of the data package by path, once it is compared with the manifest."""
    package = json.loads((output / PACKAGE).read_bytes())
    found = {each["path"]: each for each in package["resources"]}
    if (output / MANIFEST).exists():
        lines = [line.partition("  ") for line in (output / MANIFEST).read_text().splitlines()]
        assert {path: each["hash"] for path, each in found.items()} == {
            path: f"sha256:{digest}" for digest, _, path in lines
        }
    assert all(each["bytes"] == (output / path).stat().st_size for path, each in found.items())
    return found


class Watcher:
    """Looks again and again whether the manifest, if there is one, is right: a manifest that stays was."""

    def __init__(self, output: Path) -> None:
        self._manifest = output / MANIFEST
        self._output = output
        self._is_over = threading.Event()
        self.wrong: list[str] = []
        # What the test takes away.
        self.taken: set[str] = set()
        self.looks = 0

    def run(self) -> None:
        """Look until it is over."""
        while not self._is_over.wait(_LOOK_INTERVAL_S):
            self._look()

    def _look(self) -> None:
        before = self._read()
        if before is None:
            return
        wrong = [line for line in before.decode().splitlines() if not self._is_right(*line.split("  ", 1))]
        # What is wrong counts only if the manifest did not change meanwhile.
        if self._read() == before:
            self.looks += 1
            self.wrong += wrong

    def _read(self) -> bytes | None:
        try:
            return self._manifest.read_bytes()
        except FileNotFoundError:
            return None

    def _is_right(self, digest: str, path: str) -> bool:
        try:
            return sha256((self._output / path).read_bytes()).hexdigest() == digest
        except FileNotFoundError:
            # Taken away.
            return path in self.taken

    def end(self) -> None:
        """End it."""
        self._is_over.set()


@contextmanager
def watched(output: Path) -> Iterator[Watcher]:
    """Watch the manifest of this folder; it has to be right at each look."""
    watcher = Watcher(output)
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.end()
        thread.join()
    assert not watcher.wrong, watcher.wrong
