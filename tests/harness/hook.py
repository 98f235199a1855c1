"""What ON_DELIVERY names: an HTTP server that takes receipts, or does what the test wants instead."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self


class Posted(NamedTuple):
    """One request: its path, its key, and the receipt."""

    path: str
    key: str
    receipt: dict[str, Any]


class Hook:
    """Serves from a thread. It answers with `status`; while `answers` is cleared, it does not answer at all."""

    def __init__(self, port: int = 0) -> None:
        self.posted: list[Posted] = []
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/json"
                hook.posted.append(Posted(self.path, self.headers["Idempotency-Key"], json.loads(body)))
                hook.answers.wait()
                self.send_response(hook.status)
                self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - its name there
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/in?token=hidden"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def sources(self) -> list[str]:
        """The sources of the receipts, as they came."""
        return [posted.receipt["source"] for posted in self.posted]
