"""What each log line says of its process, wherever it comes from."""

import json
import subprocess
import sys

import pytest

SCRIPT = r"""
import asyncio, logging, sys, threading
import structlog
from common.log.setup import set_up_log
from common.settings import ServiceSettings
from common.settings_reader import make_settings

level, form = sys.argv[1:]
set_up_log(make_settings(ServiceSettings, {"log_level": level, "log_format": form}), "split", "here.0")
log = structlog.get_logger()
log.info("from the start", path="a\x1b[31mb")
thread = threading.Thread(target=log.info, args=("from a thread",))
thread.start()
thread.join()

async def task(name):
    structlog.contextvars.bind_contextvars(partitions=[name])
    await asyncio.sleep(0)
    log.info("from a task")

async def tasks():
    await asyncio.gather(task("rows-0"), task("rows-1"))
    log.info("from the loop")

asyncio.run(tasks())
logging.getLogger("aiokafka").warning("sends %s", "M,15")
try:
    raise ValueError("M,15")
except ValueError:
    logging.getLogger("asyncio").exception("a task failed")
logging.getLogger("aiokafka").info("%d", "no number")
log.debug("at last")
"""


def lines(level: str, form: str = "json") -> list[str]:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, level, form], capture_output=True, text=True, check=True, timeout=60
    )
    assert ran.stdout == ""
    return ran.stderr.splitlines()


def test_lines_of_tasks_threads_and_callbacks_name_service_and_replica() -> None:
    found = [json.loads(line) for line in lines("info")]
    assert [(line["event"], line.get("partitions")) for line in found] == [
        ("from the start", None),
        ("from a thread", None),
        ("from a task", ["rows-0"]),
        ("from a task", ["rows-1"]),
        ("from the loop", None),
    ]
    assert {(line["service"], line["replica"]) for line in found} == {("split", "here.0")}


def test_at_debug_what_libraries_log_are_debug_lines_like_all_others() -> None:
    found = [json.loads(line) for line in lines("debug") if line.startswith("{")]
    assert {(line["service"], line["replica"]) for line in found} == {("split", "here.0")}
    of_libraries = {line["event"]: line for line in found if "library" in line}
    assert of_libraries.keys() >= {"sends M,15", "a task failed"}
    assert {line["level"] for line in of_libraries.values()} == {"debug"}
    assert of_libraries["sends M,15"]["library"] == "aiokafka"
    assert of_libraries["sends M,15"]["its_level"] == "warning"
    assert "ValueError: M,15" in of_libraries["a task failed"]["exception"]
    assert found[-1]["event"] == "at last"


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_terminal_obeys_a_line(form: str) -> None:
    first = lines("info", form)[0]
    assert first.isprintable()
    assert r"[31mb" in first
