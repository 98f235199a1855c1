"""deploy/grafana: what each panel asks is answered, by a real Prometheus that scrapes services at work."""

import json
import math
import re
import shutil
from pathlib import Path

import pytest

from tests.harness.health import Health
from tests.harness.pipeline import ABALONE_FILE, SERVICES, Pipeline
from tests.harness.prometheus import DEPLOY, Prometheus, running_prometheus

# Grafana gives a panel at least four intervals of scrape_interval.
RATE_INTERVAL = "20s"
GOOD = ABALONE_FILE.read_bytes().split(b"\n", 1)[1]
# A row of too few fields, which ingest rejects, and one without a number, which a split does.
BAD = b"M,1\nM,0.4,0.3,0.1,0.5,0.2,0.1,0.1,many\n"
REJECTED = {("NacreRowsRejected", "ingest"), ("NacreRowsRejected", "split")}


def targets() -> dict[str, tuple[str, list[str]]]:
    """Each query by its panel and letter, with the labels that its legend shows."""
    panels = json.loads((DEPLOY / "grafana" / "dashboards" / "nacre.json").read_text())["panels"]
    return {
        f"{panel['title']} {target['refId']}": (
            target["expr"].replace("$__rate_interval", RATE_INTERVAL),
            re.findall(r"{{(\w+)}}", target["legendFormat"]),
        )
        for panel in panels
        for target in panel.get("targets", ())
    }


def is_answered(prometheus: Prometheus, expression: str, labels: list[str]) -> bool:
    """Whether there is a figure, and the legend has something to say; a share of nothing is no figure."""
    found = [each for each, value in prometheus.samples(expression) if not math.isnan(value)]
    return bool(found) and set(labels) <= set[str]().union(*found)


@pytest.mark.skipif(shutil.which("prometheus") is None, reason="no prometheus: the dashboard's queries are not run")
def test_every_panel_s_query_is_answered_while_rows_flow(pipeline: Pipeline, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_bytes(ABALONE_FILE.read_bytes())
    health = {name: Health() for name in SERVICES}
    split_by = {"SPLIT_BY": "Sex,Rings:int"}
    for name in SERVICES:
        own = {"ingest": {"INPUT": str(source), "SETTLE_S": "0"}, "split": split_by, "sink": {}}[name]
        pipeline.start(name, **own, **health[name].settings)
    asked = targets()
    with running_prometheus(tmp_path, {name: each.port for name, each in health.items()}) as prometheus:
        left = dict(asked)

        def all_are_answered() -> bool:
            with source.open("ab") as file:
                file.write(GOOD + BAD)
            for title, (expression, labels) in list(left.items()):
                if is_answered(prometheus, expression, labels):
                    del left[title]
            return not left

        try:
            pipeline.wait_until(all_are_answered, "every query is answered", 90)
        except AssertionError as error:
            raise AssertionError(f"no answer: {sorted(left)}") from error
        # The alerts say what has happened, and nothing else.
        pipeline.wait_until(lambda: prometheus.alerts() == REJECTED, "rows are rejected", 30)
    assert len(asked) > 20
