"""What services say at their HTTP ports."""

import http.client
import json
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.harness.broker import free_port

_HOST = "127.0.0.1"
_DEADLINE_S = 10
_REJECTED = "nacre_rows_rejected_total"


class Health:
    """The pages of one service. `settings` are those that it has to be started with."""

    def __init__(self) -> None:
        self.port = free_port()
        self.settings = {"HTTP_PORT": str(self.port), "HTTP_HOST": _HOST}

    def ask(self, page: str) -> tuple[int, bytes]:
        """The status and the body; status 0 while nothing listens, or what listens has gone."""
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=_DEADLINE_S)
        try:
            connection.request("GET", page)
            response = connection.getresponse()
            return response.status, response.read()
        except ConnectionError:
            return 0, b""
        finally:
            connection.close()

    @property
    def is_live(self) -> bool:
        """Whether it says that it lives."""
        return self.ask("/livez")[0] == http.HTTPStatus.OK

    @property
    def is_ready(self) -> bool:
        """Whether it says that it is ready."""
        return self.ask("/readyz")[0] == http.HTTPStatus.OK

    def ready(self) -> dict[str, Any]:
        """What it says of whether it is ready; nothing while nothing listens."""
        body = self.ask("/readyz")[1]
        return dict(json.loads(body)) if body else {}

    @property
    def reason(self) -> str:
        """Why it is not ready; "" if it is, or if nothing listens."""
        return str(self.ready().get("reason", ""))

    def metrics(self) -> dict[tuple[str, ...], float]:
        """Each of its samples, by its name and the values of its labels, in the order of their names."""
        text = self.ask("/metrics")[1].decode()
        families = text_string_to_metric_families(text)
        return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}

    def rejected(self) -> dict[tuple[str, str], float]:
        """How many rows are rejected, by split and code."""
        found = self.metrics().items()
        return {
            (split, code): value for (name, *labels), value in found if name == _REJECTED for code, split in [labels]
        }

    def value(self, name: str, *labels: str) -> float:
        """A sample, by its name without what all begin with; 0 while there is none."""
        return self.metrics().get((f"nacre_{name}", *labels), 0.0)
