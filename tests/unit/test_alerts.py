"""deploy/prometheus: the rules ask for metrics that there are, and each fires for its fault and for no other."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from common.health.metrics import BUILD, METRICS, READY

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
RULES = (FOLDER / "alerts.yml").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)


def test_the_rules_ask_for_metrics_that_the_services_have() -> None:
    known = {each.name for each in METRICS} | {READY, f"{BUILD}_info"}
    known |= {f"{each.name}_bucket" for each in METRICS if each.kind == "histogram"}
    assert set(re.findall(r"\bnacre_\w+", RULES)) <= known


def test_each_alert_is_tested_and_explained() -> None:
    tests, page = (FOLDER / "alerts.test.yml").read_text(), PAGE.read_text()
    for alert in ALERTS:
        assert re.search(rf"alertname: {alert}\n\s+eval_time: \w+\n\s+exp_alerts:", tests), alert
        assert f"| `{alert}` |" in page, alert


@pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool: the alerts' own tests are not run")
@pytest.mark.parametrize("arguments", [["check", "config", "prometheus.yml"], ["test", "rules", "alerts.test.yml"]])
def test_promtool_accepts_the_configuration_and_its_tests(arguments: list[str]) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=FOLDER, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
