"""deploy/grafana: the dashboard asks for metrics that there are, shows each, and lies where Grafana looks for it."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

from common.health.metrics import BUILD, METRICS, READY

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "nacre.json").read_text())
PANELS = DASHBOARD["panels"]
QUERIES = "\n".join(target["expr"] for panel in PANELS for target in panel.get("targets", ()))


def test_the_dashboard_shows_every_metric_and_asks_for_no_other() -> None:
    known = {f"{each.name}_bucket" if each.kind == "histogram" else each.name for each in METRICS}
    assert set(re.findall(r"\bnacre_\w+", QUERIES)) == known | {READY, f"{BUILD}_info"}


def test_panels_have_each_an_id_and_a_place_of_their_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    places = [panel["gridPos"] for panel in PANELS]
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert max(place["x"] + place["w"] for place in places) == 24


def test_every_panel_says_what_it_shows_and_asks_the_source_that_was_chosen() -> None:
    [variable] = DASHBOARD["templating"]["list"]
    for panel in PANELS:
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["targets"]
        for each in panel.get("targets", ()):
            assert each["datasource"]["uid"] == f"${{{variable['name']}}}"
    provisioned = (FOLDER / "provisioning" / "datasources" / "prometheus.yml").read_text()
    assert f"uid: {variable['current']['value']}\n" in provisioned


def test_grafana_looks_for_the_dashboard_where_compose_mounts_it() -> None:
    [folder] = re.findall(r"path: ([^}\s]+)", (FOLDER / "provisioning" / "dashboards" / "nacre.yml").read_text())
    compose = (ROOT / "compose.yaml").read_text()
    assert f"source: ./deploy/grafana/dashboards\n        target: {folder}\n" in compose
    assert f"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH: {folder}/nacre.json\n" in compose
