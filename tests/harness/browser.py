"""A real Chromium without a window, driven through the pipe that it has for this (the DevTools protocol)."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    # It is only ever shown pages of the tests' own, and as root it has no sandbox.
    "--no-sandbox",
)
_DEADLINE_S = 60.0
_POLL_S = 0.05
# Chromium reads from descriptor 3 and writes to 4.
_LAUNCH = (
    "import os, sys; os.dup2(int(sys.argv[1]), 3); os.dup2(int(sys.argv[2]), 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_FREE_DESCRIPTOR = 10
_KEYS = {"Tab": 9, "Enter": 13, "End": 35, "PageDown": 34, "ArrowDown": 40}

Fields = Mapping[str, Any]


def find_chromium() -> str | None:
    """Its path; None where it is not installed."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Browser:
    """One browser, from entry to exit."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._arrived = threading.Condition()
        self._answers: dict[int, Fields] = {}
        self._number = 0
        self._is_gone = False
        self.events: list[Fields] = []

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="nacre-browser-", ignore_cleanup_errors=True)
        to_read, self._to = _pipe()
        self._from, to_write = _pipe()
        folder = self._folder.name
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _LAUNCH,
                f"{to_read}",
                f"{to_write}",
                self._path,
                *_FLAGS,
                f"--user-data-dir={folder}",
            ],
            pass_fds=[to_read, to_write],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(to_read)
        os.close(to_write)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.call("Browser.close")
        self._process.wait(_DEADLINE_S)
        self._reader.join()
        os.close(self._to)
        os.close(self._from)
        self._folder.cleanup()

    def call(self, method: str, session: str = "", **parameters: Any) -> Fields:
        """What the browser answers. AssertionError where it refuses, or does not answer."""
        with self._arrived:
            self._number += 1
            number = self._number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        left = json.dumps(message).encode() + b"\0"
        while left:
            left = left[os.write(self._to, left) :]
        with self._arrived:
            self._arrived.wait_for(lambda: number in self._answers or self._is_gone, _DEADLINE_S)
            assert number in self._answers, f"no answer to {method}"
            answer = self._answers.pop(number)
        assert "error" not in answer, f"{method}: {answer['error']}"
        return dict(answer["result"])

    def open(self, url: str = "about:blank") -> "Page":
        """A new page."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log"):
            page.call(f"{domain}.enable")
        page.go(url)
        return page

    def _read(self) -> None:
        left = b""
        while chunk := os.read(self._from, 1 << 16):
            *messages, left = (left + chunk).split(b"\0")
            with self._arrived:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self._answers[message["id"]] = message
                    else:
                        self.events.append(message)
                self._arrived.notify_all()
        with self._arrived:
            self._is_gone = True
            self._arrived.notify_all()


class Page:
    """One page of a browser, as a person has it before them."""

    def __init__(self, browser: Browser, target: str, session: str) -> None:
        self._browser = browser
        self._target = target
        self._session = session

    def call(self, method: str, **parameters: Any) -> Fields:
        """What the browser answers for this page."""
        return self._browser.call(method, self._session, **parameters)

    def go(self, url: str) -> None:
        """Open an address, and wait until its document is loaded."""
        self.call("Page.navigate", url=url)
        self.wait_until("document.readyState === 'complete'")

    def close(self) -> None:
        """Close it."""
        self._browser.call("Target.closeTarget", targetId=self._target)

    def value(self, expression: str) -> Any:
        """What an expression of JavaScript is, once it has come."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def text(self, selector: str) -> str:
        """The text of the first element of this kind."""
        return str(self.value(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    def wait_until(self, condition: str, deadline_s: float = _DEADLINE_S) -> None:
        """Wait until an expression of JavaScript holds."""
        latest = time.monotonic() + deadline_s
        while not self.value(condition):
            assert time.monotonic() < latest, f"not within {deadline_s:g} s: {condition}"
            time.sleep(_POLL_S)

    def appear(self, width: int, height: int, scheme: str = "light", *, motion: bool = True) -> None:
        """Take this size, colour scheme, and wish for motion."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "no-preference" if motion else "reduce"},
        ]
        self.call("Emulation.setEmulatedMedia", features=features)

    def press(self, key: str) -> None:
        """Press and leave a key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=_KEYS[key])

    def type(self, text: str) -> None:
        """Type a text where the focus is."""
        self.call("Input.insertText", text=text)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write what is seen, or the whole page, as a PNG."""
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    @property
    def complaints(self) -> Sequence[str]:
        """What the browser has reported of this page: errors, exceptions, and what the policy has kept from it."""
        found = []
        for event in self._browser.events:
            if event.get("sessionId") != self._session:
                continue
            match event["method"], event["params"]:
                case "Runtime.exceptionThrown", {"exceptionDetails": details}:
                    found.append(str(details.get("exception", details).get("description", details)))
                case "Log.entryAdded", {"entry": {"level": "error" | "warning", "text": text}}:
                    found.append(str(text))
                case "Runtime.consoleAPICalled", {"type": "error" | "warning" | "assert", "args": arguments}:
                    found.append(" ".join(str(each.get("value", each)) for each in arguments))
        return found


def _pipe() -> tuple[int, int]:
    """A pipe's ends, numbered above those that are replaced."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _FREE_DESCRIPTOR) for each in ends)
    for each in ends:
        os.close(each)
    return moved[0], moved[1]
